"""What many users cost, in numbers: storage, time and machines of three ways to answer in each user's own."""
