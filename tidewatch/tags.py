"""What the demo's desk files a conversation under, where the data do not say: told by words, and only in the demo.

Nobody annotated what the help channels' conversations are about. A desk's agents would have said so at closing; here
fixed lists of words say it: of the topics of the queue that one whose words the customer used most often, of equals
the first in the list, none where none was used. (docs/data.md says so too.)
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from tidewatch.datasets import Thread

WORDS: Mapping[str, Mapping[str, str]] = {
    "ubuntu": {
        "upgrade": r"upgrad\w*|dist-upgrade|update-manager|new release|release upgrade",
        "network": r"wifi|wi-fi|wireless|network\w*|ethernet|dns|dhcp|router|vpn|wlan\d?|eth\d|wpa|internet|ssh|samba",
        "graphics": r"nvidia|ati|radeon|intel|xorg|x11|resolution|monitors?|display|screen|compiz|gpu|fglrx|driver",
        "sound": r"sound|audio|alsa|pulse\w*|speakers?|headphones?|mic|volume",
        "disk": r"partition\w*|mount\w*|ntfs|fdisk|gparted|hdd|disks?|drives?|usb|raid|lvm|ext[234]|swap|format",
        "boot": r"boot\w*|grub|live ?cd|install cd|iso|kernel|dual|initramfs|bios|uefi|efi",
        "packages": r"apt|apt-get|aptitude|dpkg|packages?|repos?|repository|ppa|synaptic|deb|dependenc\w+|compile",
        "desktop": r"gnome|kde|unity|xfce|lxde|panels?|desktop|theme\w*|icons?|nautilus|kubuntu|firefox",
        "accounts": r"password\w*|sudo|sudoers|users?|login|permissions?|root|chmod|chown|groups?",
    },
    "stripe": {
        "payments": r"charges?|payments?|payment_?intents?|cards?|3d ?secure|sca|checkout|refunds?|disputes?",
        "subscriptions": r"subscriptions?|plans?|invoices?|trials?|coupons?|billing|prorat\w+",
        "integration": r"api|webhooks?|keys?|tokens?|library|sdk|elements|sources?|connect|accounts?",
    },
    "mediawiki": {
        "extensions": r"extensions?|skins?|plugins?|gadgets?|visual ?editor|parsoid",
        "pages": r"templates?|pages?|categor\w+|wikitext|edit\w*|transclu\w+|namespaces?|links?|images?|upload\w*",
        "hosting": r"install\w*|php|mysql|database|db|apache|nginx|server|localsettings(?:\.php)?|cache",
    },
    "rust": {
        "borrowing": r"borrow\w*|lifetimes?|ownership|&mut|move|moved|refcell|rc|arc|unsafe|pointers?",
        "types": r"traits?|generics?|impl|types?|enums?|structs?|closures?|match|macros?|iterators?",
        "tooling": r"cargo|crates?|rustc|compil\w+|build\w*|llvm|link\w*|tests?|docs?|install\w*",
    },
}
"""Queue → topic → what its words look like."""
_FORMS = {
    queue: {topic: re.compile(rf"(?<!\w)(?:{words})(?!\w)", re.IGNORECASE) for topic, words in topics.items()}
    for queue, topics in WORDS.items()
}


def topic_of(thread: Thread) -> str | None:
    """What the conversation is filed under; None where its customer used none of the words."""
    said = "\n".join(one.text for one in thread.said if one.author == "customer")
    found = {topic: len(form.findall(said)) for topic, form in _FORMS.get(thread.queue, {}).items()}
    best = max(found.values(), default=0)
    return next(topic for topic, n in found.items() if n == best) if best else None
