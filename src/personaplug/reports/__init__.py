"""Reports for people: tables, pages and pictures of what was measured."""
