"""tests/goldens/cleaning.json: texts of all sorts and what diffusers' prompt_clean (ftfy 6.3.1) makes of them."""
import json
import random

import ftfy  # registers the sloppy codecs
from diffusers.pipelines.wan.pipeline_wan import prompt_clean

from common import GOLDENS

PLAIN = [
    "", " ", "\n", "A cat walks on the grass, realistic style.", "  two   spaces \t and a tab  ", "ends in newline\n",
    "Un café près de l'église, à côté du garçon.", "Straßenbahn über die Brücke", "El niño comió piñas ¿verdad?",
    "Красная площадь зимой", "東京の夜、雨。", "서울의 밤", "مرحبا بالعالم", "שלום עולם", "ไทยแลนด์", "नमस्ते दुनिया",
    "5 > 3 and 2 < 4", "100 % of 20 °C", "f(x) = x² ± 3", "a—b–c… d", "naïve façade Ångström", "Å i Å", "l’été",
    "色调艳丽，过曝，静态，细节模糊不清，字幕，风格，作品，画作，画面，静止，整体发灰，最差质量，低质量，JPEG压缩残留，丑陋的",
    "镜头晃动，画面闪烁。一只猫、一只狗；你好：世界！真的吗？", "（括号）【方头】《书名》「日本」", "～＾＿｀｛｜｝",
]
QUOTES_WIDTH_LIGATURES = [
    "“Hello,” she said. ‘Yes’", "‛reversed‛ ‟low‟", "ʼn and ŉ", "ﬁne ﬂow oﬀice aﬃx baﬄe ﬅop ﬆop", "Ĳssel ĳs", "Ǆ ǅ ǆ Ǉ ǈ ǉ Ǌ ǋ ǌ Ǳ ǲ ǳ",
    "ＬＯＵＤ　ＮＯＩＳＥＳ", "Ｕﾀｰﾝ", "ﾊﾟﾋﾟﾌﾟ ｶﾞｷﾞ", "￥１００ ￡５ ￠９ ￦ ￣ ￤ ￩", "ﾡﾢﾣ ￂￃ", "＂quoted＂ ＇single＇", "＆ａｍｐ；", "＜ｂ＞",
    "æ œ Æ Œ stay", "№ ™ ℠ ① ½ stay", "ﬓ ﬔ Armenian stays", "«guillemets» ‹single› „low“ ‚s‘", "′prime″", "｡｢｣､･", "ﾠ filler",
]
LINES_CONTROLS = [
    "one\r\ntwo\rthree\u2028four\u2029five\x85six", "a\u200bb\u200cc\u200dd", "nbsp\u00a0here\u202fthin\u2009and\u3000wide",
    "\ufeffbom at the start", "\x00null\x01\x02\x08\x0b\x0c\x0e\x1f\x7f", "\x1c\x1d\x1e\x1f separators", "\x1b[36;44mblue\x1b[0m plain",
    "\x1b[ not an escape \x1b[12", "\x1b[1mbold\x1b]0;title\x07", "\u206a\u206f\ufff9anno\ufffatated\ufffb\ufffc", "tab\tseparated\tvalues",
    "soft\u00adhyphen", "rtl \u202eoverride\u202c \u200f mark", "c1 \x80 \x85 \x93quoted\x94 \x9d", "\x81\x8d", "vertical\x0btab\x0cfeed",
    "a \n\n\n b", "\u1680ogham\u2000\u2001\u205fspaces", "a\u180eb", "\x1b[\u0663mx", "x\x1b[mend", "\r\n", "lost \ufffd character", "\x1a",
]
ENTITIES = [
    "fish &amp; chips", "fish &amp;amp; chips", "fish &amp;amp;amp; chips", "&amp;amp;amp;amp;lt;", "fish &amp chips", "this&not that", "&notit; &notin;",
    "&lt;b&gt;bold&lt;/b&gt;", "<b>&amp;lt;</b>", "&eacute;&Eacute;&EACUTE;&eACUTE;", "P&EACUTE;REZ &NTILDE; &SZLIG; &OUML;",
    "&#233;&#xe9;&#XE9;&#x1F600;", "&#128; &#147;q&#148; &#x85; &#x81;", "&#0; &#xD800; &#x110000; &#99999999999999999999;", "&#1;&#11;&#14;&#127;&#65534;",
    "&#13;&#10;&#9;&#32;x", "&#39;single&#39; &quot;double&quot; &apos;a&apos;", "&#59; &semi; &#x3b;", "&#12ab; &#xzz; &#; &;", "&nbsp;x&nbsp;y&ensp;z",
    "&hellip;&mdash;&ndash;&lsquo;&rsquo;&ldquo;&rdquo;", "&macr;\\_(ã\x83\x84)_/&macr;", "Broken text&hellip; it&#x2019;s ﬂubberiﬁc!", "&Jscr;ohn &HilbertSpace;ancock",
    "&CounterClockwiseContourIntegral; &unknown; &unknownwithquitealonglongname;", "AT&T &copy 2024 &copyx &COPY; &REG; &reg", "&frac12; &FRAC12; &sup2; &SUP2;",
    "one < two &amp; three\nnext &amp; line", "first &amp; line\nthen < html &amp; more\nlast &amp; line", "&lt;&amp;lt;", "&fjlig; &nvlt; &bne;", "&ATILDE;&SUP3;",
    "&amp", "&", "&&&&", "&amp;#233;", "&amp;eacute;", "&#x26;eacute;", "&&amp;;", "&AMP; &LT; &GT; &QUOT;", "&thetasym; &THETASYM;", "&ampx; &ltx", "&no&no",
    "&ngE;&nsubE;", "x&lt", "x&lt=3", "&Tab;&NewLine;&nbsp", "&zwnj;&zwj;&lrm;&shy;", "&é;&éa", "&\u0130;", "&alpha;&ALPHA;&Alpha;",
]
MOJIBAKE = [
    "âœ” No problems", "schÃ¶n", "sÃ³", "voilÃ le travail", "Ã la mode", "fÃ cil", "Ã s vezes Ã quele", "â€œquotedâ€\x9d", "â€œ like this â€�", "l’humanitÃ©",
    "The Mona Lisa doesnÃƒÂ¢Ã¢â€šÂ¬Ã¢â€žÂ¢t have eyebrows.", "ÃƒÆ’Ã†â€™Ãƒâ€ Ã¢â‚¬â„¢", "Ð¿Ñ€Ð¸Ð²ÐµÑ‚ Ð¼Ð¸Ñ€", "æ—¥æœ¬èªž", "ä½ å¥½ä¸–ç•Œ", "ðŸ˜€ smile", "ðŸ\x98\x80",
    "пїЅ", "вЂ”", "РїСЂРёРІРµС‚", "Î±Î²Î³", "β€™ β€“", "ā€™", "‚Äô", "√©t√©", "‚àö", "├⌐t├⌐", "ΓÇÖ", "ÔÇÖ", "Nice ├¡", "Ä\x8cesko", "ÄŒesko", "LÄ…d", "Å\x81ódź",
    "This text is sad .â\x81”.", "Â© 2024 Â® Â° Â£5", "5Â°C", "Â\xa0indented", "Â a", "a Â b", "Hello Â world.", "price: Â£10 and â‚¬20", "cafÃ© and café", "naïve cafÃ©",
    "ã\x81\x93ã\x82\x93", "à¤¨à¤®à¤¸à¥\x8d", "à²¬", "í\xa0½í¸\x80", "À\x80", "Ø§Ù„Ø³Ù„Ø§Ù…", "×©×\x9c×•×\x9d", "ìž\x90ë§‰", "Ã¢â‚¬â„¢", "â€", "â€™", "Ã", "Â", "Ã©", "(Ã©)", "é Ã© ü",
    "CÃ³mo estÃ¡s?", "Ã¡ Ã± Ã¼", "don?t Ã?", "Ã? la", "ã€�", "Pas de problÃ¨me â€” câ€™est fini", "Ünïcödé ≈ fine", "3 × ² ok", "¯\\_(ツ)_/¯", "(ง'⌣')ง", "ヽ༼ຈل͜ຈ༽ﾉ", "│ box ┤°",
    "RUF MICH ZURÃœCK", "ESPAÑA — ¡OLÉ!", "¿QuÃ© pasa?", "Œuvre d’Œ.", "œ", "â–ˆâ–ˆ", "mixed 日本語 and schÃ¶n", "日本語 â€œquotedâ€\x9d 中文", "emoji 😀 and Ã©", "Ã© CÀ\nÃ©",
]
EMOJI_MARKS = [
    "e\u0301 a\u0308 n\u0303", "o\u0302\u0301", "\u1100\u1161\u11a8", "\u212b \u2126 \u212a", "👩‍👩‍👧‍👦 family", "🏴\U000e0067\U000e0062\U000e0077\U000e006c\U000e0073\U000e007f", "❤️ red",
    "q\u0307\u0323", "\u0344", "が か\u3099", "\U0001d15e", "\ufb1d \ufb2a", "x\u0338= \u2260", "\u1e9b\u0323", "ﷺ", "各\ufe0f \uf900", "\u0958", "🇫🇷 flag", "1️⃣",
]
PHRASES = [
    "Déjà vu à l'été", "„Grüße“ – schön…", "Ça coûte 20 €", "¿Dónde está el niño?", "Žluťoučký kůň", "Łódź – żółć", "Привет, мир", "Καλημέρα κόσμε", "日本語テスト", "你好，世界", "“curly” ‘quotes’", "smile 😀 café",
]
CODECS = ["latin-1", "sloppy-windows-1252", "sloppy-windows-1251", "sloppy-windows-1250", "sloppy-windows-1253",
          "sloppy-windows-1254", "sloppy-windows-1257", "iso-8859-2", "macroman", "cp437"]
assert ftfy


def misread():
    """Each phrase as UTF-8 read in each set; then twice, shortened, and with sound text around it."""
    for number, phrase in enumerate(PHRASES):
        for codec in CODECS:
            yield phrase.encode().decode(codec)
        codec = CODECS[number % len(CODECS)]
        once = phrase.encode().decode(codec)
        yield once.encode().decode("sloppy-windows-1252")
        yield "ça va 東京 " + once
        yield phrase.encode()[:-1].decode("sloppy-windows-1252")
        yield phrase.encode().decode("windows-1252", errors="replace")
        yield once.replace("\xa0", " ")


def soup(count):
    """Random neighbours from all the classes the repair looks at."""
    rng = random.Random(7)
    letters = "".join(bytes(range(128, 256)).decode(c) for c in CODECS) + "abcXYZ  \n&;#<.,?!'\x1a\ufffd中，ｱ“e\u0301"
    for _ in range(count):
        yield "".join(rng.choice(letters) for _ in range(rng.randint(2, 9)))


def texts():
    written = PLAIN + QUOTES_WIDTH_LIGATURES + LINES_CONTROLS + ENTITIES + MOJIBAKE + EMOJI_MARKS
    return list(dict.fromkeys([*written, *misread(), *soup(200)]))


def main():
    pairs = [[text, prompt_clean(text)] for text in texts()]
    path = GOLDENS / "cleaning.json"
    path.write_text("[\n" + ",\n".join(json.dumps(pair) for pair in pairs) + "\n]\n")
    print(f"{path.name}: {len(pairs)} texts, {sum(a != b for a, b in pairs)} of them changed")


if __name__ == "__main__":
    main()
