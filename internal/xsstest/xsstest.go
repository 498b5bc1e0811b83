// Package xsstest has payloads that try to bring a script into a page, and an oracle
// that says whether HTML has one. It is for tests.
package xsstest

import (
	"fmt"
	"html"
	"net/url"
	"regexp"
	"strings"

	nethtml "golang.org/x/net/html"
)

// vectors run a script where nothing is done about it.
var vectors = []string{
	`<script>alert(1)</script>`, `<script src=https://evil.example/x.js></script>`, `<ScRiPt>alert(1)</sCrIpT>`, `<script/x>alert(1)</script>`,
	`<img src=x onerror=alert(1)>`, `<img/src=x/onerror=alert(1)>`, `<img src="https://x/y" onload="alert(1)">`, `<img src=javascript:alert(1)>`,
	`<img src="data:image/svg+xml;base64,PHN2ZyBvbmxvYWQ9YWxlcnQoMSk+">`, `<img src='https://x' srcset='javascript:alert(1) 1x'>`,
	`<svg onload=alert(1)>`, `<svg><script>alert(1)</script></svg>`, `<svg><a xlink:href="javascript:alert(1)"><text>x</text></a></svg>`,
	`<svg><animate onbegin=alert(1) attributeName=x dur=1s>`, `<svg><set attributeName=href to=javascript:alert(1)>`, `<svg><use href="data:image/svg+xml,x#y"/></svg>`,
	`<a href="javascript:alert(1)">x</a>`, `<a href="JaVaScRiPt:alert(1)">x</a>`, `<a href=" javascript:alert(1)">x</a>`, `<a href="java&#10;script:alert(1)">x</a>`,
	`<a href="&#106;avascript:alert(1)">x</a>`, `<a href="vbscript:msgbox(1)">x</a>`, `<a href="data:text/html,<script>alert(1)</script>">x</a>`,
	`<a href="https://ok" onclick="alert(1)">x</a>`, `<a href="//evil.example">x</a>`, `<a href="javascript&colon;alert(1)">x</a>`, `<a href="https:javascript:alert(1)">x</a>`,
	`<iframe src="javascript:alert(1)"></iframe>`, `<iframe srcdoc="<script>alert(1)</script>"></iframe>`, `<object data="javascript:alert(1)"></object>`,
	`<embed src="javascript:alert(1)">`, `<form action="javascript:alert(1)"><button>x</button></form>`, `<button formaction=javascript:alert(1)>x</button>`,
	`<input autofocus onfocus=alert(1)>`, `<select autofocus onfocus=alert(1)>`, `<textarea autofocus onfocus=alert(1)>`, `<keygen autofocus onfocus=alert(1)>`,
	`<video><source onerror=alert(1)></video>`, `<video src=x onerror=alert(1)>`, `<audio src=x onerror=alert(1)>`, `<details open ontoggle=alert(1)>`,
	`<body onload=alert(1)>`, `<marquee onstart=alert(1)>`, `<p style="background:url(javascript:alert(1))">x</p>`, `<style>@import 'https://evil.example/x.css';</style>`,
	`<link rel=stylesheet href=https://evil.example/x.css>`, `<meta http-equiv=refresh content="0;url=javascript:alert(1)">`, `<base href="javascript:alert(1)//">`,
	`<math><mtext><table><mglyph><style><img src=x onerror=alert(1)></style></mglyph></table></mtext></math>`,
	`<math><a xlink:href="javascript:alert(1)">x</a></math>`, `<math href="javascript:alert(1)">x</math>`,
	`<form><math><mtext></form><form><mglyph><style></math><img src onerror=alert(1)>`,
	`<svg></p><style><a id="</style><img src=1 onerror=alert(1)>">`, `<noscript><p title="</noscript><img src=x onerror=alert(1)>">`,
	`<svg><title><style><img title="</style><img src onerror=alert(1)>"></style></title></svg>`, `<xmp><p title="</xmp><img src onerror=alert(1)>">`,
	`<textarea><p title="</textarea><img src onerror=alert(1)>">`, `<title><p title="</title><img src onerror=alert(1)>">`, `<noembed><img title="</noembed><img src onerror=alert(1)>"></noembed>`,
	`<template><script>alert(1)</script></template>`, `<select><style></select><img src onerror=alert(1)></style>`, `<table><td><svg><desc><td><img src onerror=alert(1)>`,
	`<!--><img src=x onerror=alert(1)>-->`, `<!--!><img src=x onerror=alert(1)>`, `<![CDATA[><img src=x onerror=alert(1)>]]>`, `<?xml-stylesheet href="javascript:alert(1)"?><img src=x onerror=alert(1)>`,
	`<plaintext><img src=x onerror=alert(1)>`, `<img """><script>alert(1)</script>">`, `<<script>alert(1)//<</script>`, `<img src="x` + "`" + `<script>alert(1)</script>"` + "`" + `>`,
	`<p title="a"onmouseover="alert(1)">x</p>`, `<p/onmouseover=alert(1)>x</p>`, "<p\fonmouseover=alert(1)>x</p>", `<code class="language-x onclick=alert(1)">x</code>`,
	`<code class='language-"onclick=alert(1)'>x</code>`, `<abbr title='"><img src onerror=alert(1)>'>x</abbr>`, `<img alt='"><script>alert(1)</script>' src=https://x/y>`,
	`<a href='https://x/"onclick="alert(1)'>x</a>`, `<a href="mailto:a@b?subject=<script>alert(1)</script>">x</a>`, `<isindex type=image src=1 onerror=alert(1)>`,
	`<custom-element onclick=alert(1)>x</custom-element>`, `<slot onslotchange=alert(1)>`, `<dialog open onclose=alert(1)>`, `<p id=getElementById name=cookie>x</p>`,
	`&lt;script&gt;alert(1)&lt;/script&gt;`, `&amp;lt;script&amp;gt;alert(1)`, `<scr<script>ipt>alert(1)</scr</script>ipt>`, `<img src=x onerror&#61;alert(1)>`,
}

// wrappers put a vector where a parser may take it for something else.
var wrappers = []string{
	"%s", "before %s after", "<p>%s</p>", "<b>%s", "<ul><li>%s</ul>", "<table><tr><td>%s</table>", "<pre><code>%s</code></pre>", "<blockquote>%s",
	"<a href=\"https://ok.example\">%s</a>", "<svg>%s</svg>", "<math><mtext>%s</mtext></math>", "<details><summary>%s</details>", "<!-- -->%s<!--",
	"[x](%s)", "`%s`", "> %s", "<h1>%s</h2>", "</p>%s", "<style>%s", "<p title='%s'>x</p>",
}

// encodings write it otherwise.
var encodings = []func(string) string{
	func(s string) string { return s },
	html.EscapeString,
	strings.ToUpper,
	func(s string) string { return strings.ReplaceAll(s, " ", "\n") },
	func(s string) string { return strings.ReplaceAll(s, "script", "scr\u0131pt") },
	func(s string) string { return strings.ReplaceAll(s, "<", "\uff1c") },
	url.PathEscape,
}

// Payloads returns every vector in every wrapper and encoding.
func Payloads() []string {
	out := make([]string, 0, len(vectors)*len(wrappers)*len(encodings))
	for _, vector := range vectors {
		for _, wrapper := range wrappers {
			for _, encode := range encodings {
				out = append(out, fmt.Sprintf(wrapper, encode(vector)))
			}
		}
	}
	return out
}

// allowed are the elements that rich text may have, and their attributes.
var allowed = map[string][]string{
	"a": {"href", "title", "rel", "target"}, "img": {"src", "alt", "title", "width", "height"}, "code": {"class"}, "abbr": {"title"}, "ol": {"start"},
	"th": {"colspan", "rowspan", "align"}, "td": {"colspan", "rowspan", "align"},
}

const plain = " html head body p br hr h1 h2 h3 h4 h5 h6 blockquote pre ul li dl dt dd b strong i em u s del ins sub sup small mark kbd samp var q cite " +
	"table caption thead tbody tfoot tr figure figcaption details summary "

var language = regexp.MustCompile(`^language-[A-Za-z0-9+#.-]+$`)

// Harmless parses text as a browser does and returns why it is not safe to show: an
// element or attribute that no rich text has, or a URL of another scheme.
func Harmless(text string) error {
	root, err := nethtml.Parse(strings.NewReader("<body>" + text))
	if err != nil {
		return err
	}
	return harmless(root)
}

func harmless(n *nethtml.Node) error {
	switch n.Type {
	case nethtml.CommentNode, nethtml.DoctypeNode, nethtml.RawNode:
		return fmt.Errorf("a node of type %d: %q", n.Type, n.Data)
	case nethtml.ElementNode:
		if err := element(n); err != nil {
			return err
		}
	}
	for child := n.FirstChild; child != nil; child = child.NextSibling {
		if err := harmless(child); err != nil {
			return err
		}
	}
	return nil
}

func element(n *nethtml.Node) error {
	attributes, known := allowed[n.Data]
	if !known && !strings.Contains(plain, " "+n.Data+" ") || n.Namespace != "" {
		return fmt.Errorf("the element %s %s", n.Namespace, n.Data)
	}
	for _, a := range n.Attr {
		if !strings.Contains(" "+strings.Join(attributes, " ")+" ", " "+a.Key+" ") {
			return fmt.Errorf("the attribute %s of %s", a.Key, n.Data)
		}
		lower := strings.ToLower(a.Val)
		switch {
		case a.Key == "href" && !strings.HasPrefix(lower, "https://") && !strings.HasPrefix(lower, "mailto:"),
			a.Key == "src" && !strings.HasPrefix(lower, "https://"), a.Key == "class" && !language.MatchString(a.Val):
			return fmt.Errorf("the value %q of %s", a.Val, a.Key)
		}
	}
	return nil
}
