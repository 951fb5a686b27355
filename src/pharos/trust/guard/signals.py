"""Detectors of what tries to go unseen, or to give orders: signals, not proofs.

Hidden characters are certain: they are there or they are not. The phrases of an injection are heuristics that a writer
who knows them can avoid and that an innocent text can contain; they are made to be flagged, and to be blocked only
where nobody has reason to write them (in what tools return).
"""

from __future__ import annotations

from pharos.trust.guard.detector import Detector, Span

_FLAG = "\U0001f3f4".encode()
_CANCEL = "\U000e007f".encode()


def tags(text: bytes, start: int, end: int) -> Span | None:
    """Tag characters: invisible ASCII. The one use that is left is the flags of regions: a black flag, up to six tags,
    and the tag that cancels."""
    found = text[start:end]
    if found.endswith(_CANCEL) and len(found) <= 7 * 4 and text[:start].endswith(_FLAG):
        return None
    return start, end


def joiner(text: bytes, start: int, end: int) -> Span | None:
    """Invisible joiners are part of some scripts and of emoji; between two ASCII characters they have no work."""
    before, after = text[start - 1 : start], text[end : end + 1]
    return (start, end) if before and after and before[0] < 0x80 and after[0] < 0x80 else None


_ALL = r"(?:all |any |every |each )?(?:of )?(?:the |your |my |these |those |its )?"
_EARLIER = r"(?:previous|prior|above|earlier|preceding|existing|original|foregoing)"
_ORDERS = r"(?:instruction|prompt|direction|rule|command|guideline|message|context|polic)"

SIGNALS: tuple[Detector, ...] = (
    Detector("hidden-tags", "unicode", "invisible tag characters", r"[\x{E0000}-\x{E007F}]{1,256}",
             sieve=r"[\x{E0000}-\x{E007F}]", check=tags, strip=True),
    Detector("hidden-bidi", "unicode", "characters that turn the direction of text around",
             r"[\x{202A}-\x{202E}\x{2066}-\x{2069}]{1,64}", sieve=r"[\x{202A}-\x{202E}\x{2066}-\x{2069}]", strip=True),
    Detector("hidden-zero-width", "unicode", "characters without width",
             r"[\x{200B}\x{2060}-\x{2064}\x{FEFF}\x{180E}\x{E0100}-\x{E01EF}]{1,64}",
             sieve=r"[\x{200B}\x{2060}-\x{2064}\x{FEFF}\x{180E}\x{E0100}-\x{E01EF}]", strip=True),
    Detector("hidden-joiner", "unicode", "an invisible joiner inside a word", r"[\x{200C}\x{200D}\x{00AD}]{1,64}",
             sieve=r"[\x{200C}\x{200D}\x{00AD}]", check=joiner, strip=True),
    Detector("injection-override", "injection", "words that would set earlier instructions aside",
             rf"(?i:\b(?:ignore|disregard|forget|override|bypass)\s{{1,3}}{_ALL}{_EARLIER}\s{{1,3}}(?:\w{{1,16}}\s{{1,3}})?{_ORDERS})"
             r"|(?:忽略|无视|忘记|忘掉)(?:你|您)?(?:之前|以上|上述|前面|先前|此前|所有|一切)(?:的)?(?:所有|全部)?(?:的)?(?:指令|指示|提示|规则|命令|要求|内容)",
             sieve=r"(?i:ignore|disregard|forget|override|bypass)\s|忽略|无视|忘记|忘掉"),
    Detector("injection-role", "injection", "a forged mark of the conversation's own format",
             r"<\|(?:im_start|im_end|system|assistant|user|endoftext|start_header_id|eot_id)\|>|\[/?INST\]|<</?SYS>>"
             r"|(?i:<(?:system|system-prompt|system_prompt|assistant|system-reminder)>)",
             sieve=r"<\||\[/?INST\]|<</?SYS>>|(?i:<(?:system|assistant))"),
    Detector("injection-persona", "injection", "words that would give the model another role",
             r"(?i:\byou are (?:now|no longer) (?:a |an |the |in )?"
             r"(?:dan\b|unrestricted|jailbroken|developer mode|free from|bound by))"
             r"|(?i:\b(?:enable|enter|activate) (?:dan|developer|god|jailbreak) mode\b)",
             sieve=r"(?i:you are (?:now|no longer) |(?:dan|developer|god|jailbreak) mode)"),
    Detector("injection-leak", "injection", "a request for the hidden prompt",
             r"(?i:\b(?:reveal|print|repeat|output|show|display|leak) (?:me )?(?:all )?(?:of )?(?:your|the) "
             r"(?:full |entire |exact |hidden |initial |original |secret )?"
             r"(?:system (?:prompt|message|instructions)|initial (?:prompt|instructions)))"
             r"|(?:输出|显示|泄露|透露|告诉我|重复)(?:一下)?(?:你|您)的(?:系统|初始|原始)(?:提示词|提示|指令|设定)",
             sieve=r"(?i:system (?:prompt|message|instructions)|initial (?:prompt|instructions))|系统|初始|原始"),
    Detector("injection-secrecy", "injection", "words that ask to hide something from the user",
             r"(?i:\b(?:do not|don't|never) (?:tell|inform|notify|mention (?:this |it )?to|alert|show) (?:this to )?"
             r"the (?:user|human|operator))"
             r"|(?:不要|别|切勿)(?:告诉|通知|提醒)(?:用户|使用者|人类)",
             sieve=r"(?i:the (?:user|human|operator))|用户|使用者|人类"),
    Detector("injection-exfiltration", "injection", "an image whose address would carry data away",
             r"!\[[^\]\n]{0,100}\]\(https?://[^\s)?]{1,200}\?[^\s)]{0,200}[=][^\s)]{0,500}\)", sieve=r"!\[[^\]\n]*\]\(https?://"),
)  # fmt: skip
