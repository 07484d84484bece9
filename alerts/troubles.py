"""Why something of our own does not work, in words: what a door said of the other side, for the person who mends it."""

from __future__ import annotations

import os
import re
import socket
import ssl

_ANSWERED = re.compile(r"answered \{?(\d{3})\b")
_REFUSED = ("密钥、口令或令牌不对，或已被撤销", "its token or password is wrong, or was withdrawn")
_GONE = ("这个地址已不存在", "there is nothing at its address any more")
_SLOWER = ("对方要求发慢一些", "it asks for fewer messages")
_BROKEN = ("对方自己有故障", "the other side is broken")
_MOVED = ("地址已转到别处，不跟随", "its address points elsewhere, which is not followed")
_LETTER = ("邮件服务器不收这封信：查收件人与发件人", "the mail server does not take it: see whom it is from and to")
_KNOWN = {
    **dict.fromkeys((401, 403, 530, 534, 535), _REFUSED), **dict.fromkeys((404, 410), _GONE),
    **dict.fromkeys((421, 429, 450, 451, 452), _SLOWER), **dict.fromkeys((550, 551, 552, 553, 554), _LETTER),
    **dict.fromkeys((301, 302, 303, 307, 308), _MOVED), **dict.fromkeys((500, 502, 503, 504), _BROKEN),
}  # fmt: skip
_SAID = {
    "no answer within the time limit": ("限时内没有答复", "it did not answer within the time limit"),
    "answered something that is not JSON": ("答复的不是该服务：地址可能不对", "something else answers there"),
    "the stream is read after an absence": ("离开一段时间后正在补读", "what was missed is being read"),
}
_UNREACHED = "cannot be reached"
NO_NAME, NO_TRUST = "no such name", "its certificate is not trusted"
_FAULTS_ZH = {
    NO_NAME: "没有这个主机名", NO_TRUST: "证书不受信任", "Connection refused": "连接被拒绝",
    "Connection reset by peer": "连接被对方断开", "Network is unreachable": "网络不通", "No route to host": "网络不通",
    "Connection timed out": "连接超时",
}  # fmt: skip


def fault_of(error: BaseException) -> str:
    """What kept us from the other side, in the system's own words, which name no address: those may be secret."""
    causes = [error, getattr(error, "os_error", None), error.__cause__]
    if any(isinstance(cause, ssl.SSLCertVerificationError) for cause in causes) or hasattr(error, "certificate_error"):
        return NO_TRUST
    if any(isinstance(cause, socket.gaierror) for cause in causes) or "DNS" in type(error).__name__:
        return NO_NAME
    numbers = (getattr(cause, "errno", None) for cause in causes)
    number = next((number for number in numbers if isinstance(number, int) and number > 0), None)
    return type(error).__name__ if number is None else os.strerror(number)


def why(reason: str, language: str) -> str:
    """A reason as a person says it; what is not known is told as it is."""
    place = 0 if language == "zh" else 1
    if reason in _SAID:
        return _SAID[reason][place]
    if reason.startswith(_UNREACHED):
        told = reason.removeprefix(_UNREACHED).strip(": ")
        return f"连接不上（{_FAULTS_ZH.get(told, told)}）" if place == 0 else f"it cannot be reached ({told})"
    answered = _ANSWERED.match(reason)
    known = _KNOWN.get(int(answered[1])) if answered else None
    if answered is None or known is None:
        return reason
    return f"{known[0]}（答复 {answered[1]}）" if place == 0 else f"{known[1]} (it answered {answered[1]})"
