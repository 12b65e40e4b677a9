"""The words by which mail programs give away what their user did not write, in the languages most used in mail."""
# ruff: noqa: RUF001  (Cyrillic and full-width signs are meant)

import re

SIGNATURE = re.compile(r"-- ?")
RULE = re.compile(r"[_-]{5,}")
COLONS = (":", "：")

_MESSAGE = (
    r"(?:original|forwarded) message|weitergeleitete nachricht|urspr(?:ü|ue)ngliche nachricht"
    r"|message (?:d'origine|transféré|original)|mensaje (?:original|reenviado)|messaggio (?:originale|inoltrato)"
    r"|(?:oorspronkelijk|origineel|doorgestuurd) bericht|mensagem (?:original|encaminhada)"
    r"|(?:ursprungligt|vidarebefordrat) meddelande|oprindelig meddelelse|opprinnelig melding|wiadomość oryginalna"
    r"|исходное сообщение|пересылаемое сообщение|原始邮件|转发邮件|原始郵件"
)
MESSAGE_LINE = re.compile(rf"-{{2,}}\s*(?:{_MESSAGE})\s*-{{2,}}.*", re.IGNORECASE)
FORWARD_BEGINS = re.compile(
    r"(?:begin forwarded message|anfang der weitergeleiteten (?:e-mail|nachricht)"
    r"|début du message (?:réexpédié|transféré)|inicio del mensaje reenviado|inizio messaggio inoltrato"
    r"|begin doorgestuurd bericht)\s*:",
    re.IGNORECASE,
)

_LABELS = {
    "from": "from von de da van från fra od lähettäjä от 发件人 寄件者 差出人 보낸사람",
    "date": "sent date gesendet datum envoyé enviado enviada enviadoel fecha inviato data verzonden skickat sendt dato "
    "wysłano odesláno lähetetty отправлено дата 发送时间 日期 寄件日期 送信日時 日付 보낸날짜",
    "to": "to cc an kopie à para a aan till til do komu кому 收件人 抄送 宛先 받는사람",
    "subject": "subject betreff objet asunto oggetto onderwerp assunto ämne emne temat předmět aihe "
    "тема 主题 主旨 件名 제목",
}
LABEL_KINDS = {label: kind for kind, labels in _LABELS.items() for label in labels.split()}
LABELED = re.compile(r"[*_ ]*([^\W\d_]+(?: [^\W\d_]+)?)[*_\s]*[:：]")

_OPENS = r"(?:on|am|le|el|il|em|op|den|dne|dnia|w dniu)\b"
_WROTE = (
    r"(?:wrote|writes|schrieb|a écrit|escribió|escreveu|ha scritto|schreef|heeft .{0,60}geschreven|skrev"
    r"|napisał(?:\(a\)|a)?|napsal(?:\(a\)|a)?|kirjoitti|написал(?:\(а\)|а)?|пишет|写道|寫道)"
)
ATTRIBUTION = re.compile(rf"{_OPENS}(?=.*\d).*{_WROTE}.*[:：]", re.IGNORECASE)
ATTRIBUTION_OF_ONE_LINE = re.compile(
    rf".*(?:\b|\d){_WROTE}[^:：]{{0,80}}[:：]|(?=.*\d).*<[^<>@\s]+@[^<>@\s]+>[^<>]{{0,40}}[:：]", re.IGNORECASE
)
SECOND_LINE_OF_TWO = re.compile(rf"(?:<?[^<>@\s]+@[^<>@\s]+>?,?\s*)?{_WROTE}\s*[:：]", re.IGNORECASE)

FROM_A_PHONE = re.compile(
    r"(?:sent (?:from|via) (?:my|mail for|outlook|yahoo|proton|gmail|samsung|mobile)\b|get outlook for\b"
    r"|von meine[mr] .* gesendet$|gesendet (?:von meine[mr]|von outlook|mit der)\b"
    r"|envoyé (?:de|depuis) mon\b|enviado desde mi\b|enviado (?:do|de) meu\b|inviato da(?:l mio)? i?pho"
    r"|verzonden vanaf mijn\b|skickat från min\b|sendt fra min\b|wysłano z (?:mojego )?i?pho"
    r"|отправлено с i?pho|发自我的|iPhoneから送信).*",
    re.IGNORECASE,
)
