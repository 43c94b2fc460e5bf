# SPDX-License-Identifier: Apache-2.0
"""Letters, symbols and controls by one version of Unicode, whatever the Python at hand knows.

Owns the table, which tools/make_unicode_classes.py prints; so the words of records, and sentences and
alphabets, are the same on every Python. Knows nothing of tokenizers.
"""

from __future__ import annotations

from bisect import bisect_right

__all__ = ["CONTROL", "LETTER", "SYMBOL", "UNICODE_VERSION", "unicode_class"]

LETTER = "l"
"""Letters, marks and numbers: categories L, M and N."""
SYMBOL = "s"
"""Punctuation, symbols and white space: P, S and Z."""
CONTROL = "n"
"""Controls, formats, surrogates and private use: C."""

# Where each run of one class begins, in hexadecimal. A code point that this version does not assign has
# the class of the one before it, since what it becomes one day is mostly of its block's kind.
UNICODE_VERSION = "15.1.0"
_RUNS = """\
0n 20s 30l 3as 41l 5bs 61l 7bs 7fn a0s aal abs adn aes b2l b4s b5l b6s b9l bbs bcl bfs c0l d7s d8l
f7s f8l 2c2s 2c6l 2d2s 2e0l 2e5s 2ecl 2eds 2eel 2efs 300l 375s 376l 37es 37fl 384s 386l 387s 388l
3f6s 3f7l 482s 483l 55as 560l 589s 591l 5bes 5bfl 5c0s 5c1l 5c3s 5c4l 5c6s 5c7l 5f3s 600n 606s 610l
61bs 61cn 61ds 620l 66as 66el 6d4s 6d5l 6ddn 6des 6dfl 6e9s 6eal 6fds 6ffl 700s 70fn 710l 7f6s 7fal
7fes 800l 830s 840l 85es 860l 888s 889l 890n 898l 8e2n 8e3l 964s 966l 970s 971l 9f2s 9f4l 9fas 9fcl
9fds 9fel a76s a81l af0s af9l b70s b71l bf3s c00l c77s c78l c7fs c80l c84s c85l d4fs d54l d79s d7al
df4s e01l e3fs e40l e4fs e50l e5as e81l f01s f18l f1as f20l f34s f35l f36s f37l f38s f39l f3as f3el
f85s f86l fbes fc6l fc7s 1000l 104as 1050l 109es 10a0l 10fbs 10fcl 1360s 1369l 1390s 13a0l 1400s
1401l 166ds 166fl 1680s 1681l 169bs 16a0l 16ebs 16eel 1735s 1740l 17d4s 17d7l 17d8s 17dcl 1800s
180bl 180en 180fl 1940s 1946l 19des 1a00l 1a1es 1a20l 1aa0s 1aa7l 1aa8s 1ab0l 1b5as 1b6bl 1b74s
1b80l 1bfcs 1c00l 1c3bs 1c40l 1c7es 1c80l 1cc0s 1cd0l 1cd3s 1cd4l 1fbds 1fbel 1fbfs 1fc2l 1fcds
1fd0l 1fdds 1fe0l 1feds 1ff2l 1ffds 200bn 2010s 202an 202fs 2060n 2070l 207as 207fl 208as 2090l
20a0s 20d0l 2100s 2102l 2103s 2107l 2108s 210al 2114s 2115l 2116s 2119l 211es 2124l 2125s 2126l
2127s 2128l 2129s 212al 212es 212fl 213as 213cl 2140s 2145l 214as 214el 214fs 2150l 218as 2460l
249cs 24eal 2500s 2776l 2794s 2c00l 2ce5s 2cebl 2cf9s 2cfdl 2cfes 2d00l 2d70s 2d7fl 2e00s 2e2fl
2e30s 3005l 3008s 3021l 3030s 3031l 3036s 3038l 303ds 3041l 309bs 309dl 30a0s 30a1l 30fbs 30fcl
3190s 3192l 3196s 31a0l 31c0s 31f0l 3200s 3220l 322as 3248l 3250s 3251l 3260s 3280l 328as 32b1l
32c0s 3400l 4dc0s 4e00l a490s a4d0l a4fes a500l a60ds a610l a673s a674l a67es a67fl a6f2s a717l
a720s a722l a789s a78bl a828s a82cl a836s a840l a874s a880l a8ces a8d0l a8f8s a8fbl a8fcs a8fdl
a92es a930l a95fs a960l a9c1s a9cfl a9des a9e0l aa5cs aa60l aa77s aa7al aades aae0l aaf0s aaf2l
ab5bs ab5cl ab6as ab70l abebs abecl d800n f900l fb29s fb2al fbb2s fbd3l fd3es fd50l fdcfs fdf0l
fdfcs fe00l fe10s fe20l fe30s fe70l feffn ff01s ff10l ff1as ff21l ff3bs ff41l ff5bs ff66l ffe0s
fff9n fffcs 10000l 10100s 10107l 10137s 10140l 10179s 1018al 1018cs 101fdl 1039fs 103a0l 103d0s
103d1l 1056fs 10570l 10857s 10858l 10877s 10879l 1091fs 10920l 1093fs 10980l 10a50s 10a60l 10a7fs
10a80l 10ac8s 10ac9l 10af0s 10b00l 10b39s 10b40l 10b99s 10ba9l 10eads 10eb0l 10f55s 10f70l 10f86s
10fb0l 11047s 11052l 110bbs 110bdn 110bes 110c2l 110cdn 110d0l 11140s 11144l 11174s 11176l 111c5s
111c9l 111cds 111cel 111dbs 111dcl 111dds 111e1l 11238s 1123el 112a9s 112b0l 1144bs 11450l 1145as
1145el 114c6s 114c7l 115c1s 115d8l 11641s 11644l 11660s 11680l 116b9s 116c0l 1173cs 11740l 1183bs
118a0l 11944s 11950l 119e2s 119e3l 11a3fs 11a47l 11a9as 11a9dl 11a9es 11ab0l 11b00s 11c00l 11c41s
11c50l 11c70s 11c72l 11ef7s 11f00l 11f43s 11f50l 11fd5s 12000l 12470s 12480l 12ff1s 13000l 13430n
13440l 16a6es 16a70l 16af5s 16b00l 16b37s 16b40l 16b44s 16b50l 16e97s 16f00l 16fe2s 16fe3l 1bc9cs
1bc9dl 1bc9fs 1bca0n 1cf00l 1cf50s 1d165l 1d16as 1d16dl 1d173n 1d17bl 1d183s 1d185l 1d18cs 1d1aal
1d1aes 1d242l 1d245s 1d2c0l 1d300s 1d360l 1d6c1s 1d6c2l 1d6dbs 1d6dcl 1d6fbs 1d6fcl 1d715s 1d716l
1d735s 1d736l 1d74fs 1d750l 1d76fs 1d770l 1d789s 1d78al 1d7a9s 1d7aal 1d7c3s 1d7c4l 1d800s 1da00l
1da37s 1da3bl 1da6ds 1da75l 1da76s 1da84l 1da85s 1da9bl 1e14fs 1e290l 1e2ffs 1e4d0l 1e95es 1ec71l
1ecacs 1ecadl 1ecb0s 1ecb1l 1ed2es 1ed2fl 1eef0s 1f100l 1f10ds 1fbf0l e0001n e0100l f0000n
"""

_STARTS = [int(run[:-1], 16) for run in _RUNS.split()]
_CLASSES = [run[-1] for run in _RUNS.split()]


def unicode_class(character: str) -> str:
    r"""Return the class of a character.

    >>> [unicode_class(character) for character in "aé가7_.+\t"]
    ['l', 'l', 'l', 'l', 's', 's', 's', 'n']
    """
    return _CLASSES[bisect_right(_STARTS, ord(character)) - 1]
