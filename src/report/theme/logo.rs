//! Whether an SVG is a picture and nothing else. Pages show it as an image, where a browser runs and loads
//! nothing of it; but it lies beside the pages as a file of its own, and is sent along.

use resvg::usvg::roxmltree::{Attribute, Document, Node, ParsingOptions};

use super::look::asks_elsewhere;

const SVG: &str = "http://www.w3.org/2000/svg";

/// What keeps a text from being used as a logo, and what would help.
pub fn fault(text: &str) -> Option<String> {
    // What drawing programs write as the document's type is harmless; entities of its own multiply and read
    // files, and no logo needs them.
    if text.contains("<!ENTITY") {
        return Some("it defines entities (save it as plain SVG)".into());
    }
    let options = ParsingOptions { allow_dtd: true, ..ParsingOptions::default() };
    let document = match Document::parse_with_options(text, options) {
        Ok(document) => document,
        Err(error) => return Some(format!("it is no SVG: {error}")),
    };
    if !document.root_element().has_tag_name((SVG, "svg")) {
        return Some("it is no SVG: its outermost element is another".into());
    }
    document.root().descendants().find_map(|node| fault_of(&node))
}

fn fault_of(node: &Node) -> Option<String> {
    if let Some(instruction) = node.pi() {
        return Some(format!(
            "<?{}?> would ask for something from elsewhere (leave it out)",
            instruction.target
        ));
    }
    if !node.is_element() {
        return None;
    }
    let name = node.tag_name();
    if name.name() == "script" || name.namespace() == Some("http://www.w3.org/1999/xhtml") {
        return Some(format!("<{}> is no part of a picture (leave it out)", name.name()));
    }
    let style = if name.name() == "style" { node.text().and_then(asks_elsewhere) } else { None };
    style.or_else(|| node.attributes().find_map(|attribute| fault_of_attribute(&attribute)))
}

fn fault_of_attribute(attribute: &Attribute) -> Option<String> {
    let (name, value) = (attribute.name(), attribute.value().trim());
    let word: String = value.chars().take(80).collect();
    // An animation can write what it may not hold from the beginning.
    let written = if name == "attributeName" { value.rsplit(':').next().unwrap_or(value) } else { name };
    if written.get(..2).is_some_and(|start| start.eq_ignore_ascii_case("on")) {
        return Some(format!("{written} would run something (leave it out)"));
    }
    let is_own = value.is_empty() || value.starts_with('#') || value.starts_with("data:image/");
    if name == "href" && !is_own || name == "attributeName" && written == "href" {
        return Some(format!(
            "\"{word}\" would ask for something from elsewhere (put it in as a data: address)"
        ));
    }
    if name == "style" || value.contains('(') { asks_elsewhere(value) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_as_drawing_programs_write_them_are_logos() {
        let shape = "<path d='M0 0L9 9' style='fill:url(#a)' transform='scale(2)'/>";
        for (before, inside) in [
            ("", shape),
            ("<?xml version='1.0' encoding='UTF-8'?>\n<!-- made by hand -->\n", shape),
            (
                "<!DOCTYPE svg PUBLIC '-//W3C//DTD SVG 1.1//EN' 'http://www.w3.org/Graphics/SVG/1.1/DTD/svg11.dtd'>",
                "<metadata xmlns:cc='http://creativecommons.org/ns#'><cc:Work cc:about='http://example.org/'/></metadata>",
            ),
            ("", "<use xlink:href='#a'/><image href='data:image/png;base64,AAAA'/>"),
            ("", "<style>@media (prefers-color-scheme: dark) { path { fill: white } }</style>"),
        ] {
            let text = format!("{before}{}", svg(inside));
            assert_eq!(fault(&text), None, "{text}");
        }
        assert_eq!(fault(include_str!("../../../themes/default/logo.svg")), None);
    }

    #[test]
    fn what_runs_or_asks_elsewhere_is_no_logo() {
        for (inside, said) in [
            ("<script>window.ran = 1</script>", "<script> is no part of a picture"),
            ("<s:script xmlns:s='http://www.w3.org/2000/svg'/>", "<script> is no part"),
            ("<foreignObject><iframe xmlns='http://www.w3.org/1999/xhtml'/></foreignObject>", "<iframe>"),
            ("<path onload='window.ran = 1'/>", "onload would run something"),
            ("<path OnClick='window.ran = 1'/>", "OnClick would run something"),
            ("<set attributeName='onload' to='window.ran = 1'/>", "onload would run something"),
            ("<animate attributeName='xlink:href' values='javascript:x'/>", "from elsewhere"),
            ("<a href='javascript:x'/>", "\"javascript:x\" would ask"),
            ("<image xlink:href='http://127.0.0.1:9/a.png'/>", "\"http://127.0.0.1:9/a.png\" would ask"),
            ("<image href='//elsewhere.example/a.png'/>", "from elsewhere"),
            ("<image href='data:text/html,x'/>", "from elsewhere"),
            ("<rect fill='url(//elsewhere.example/a.svg#x)'/>", "from elsewhere"),
            ("<rect style='fill: u\\72l(https://elsewhere.example/a)'/>", "from elsewhere"),
            ("<style>@import 'x.css';</style>", "from elsewhere"),
            ("<p", "it is no SVG"),
        ] {
            let found = fault(&svg(inside)).unwrap_or_default();
            assert!(found.contains(said), "{inside}: {found}");
        }
        let laughs: String =
            (1..10).map(|n| format!("<!ENTITY l{n} \"{}\">", format!("&l{};", n - 1).repeat(10))).collect();
        for document in [
            format!("<!DOCTYPE svg [<!ENTITY l0 \"ha\">{laughs}]>{}", svg("<text>&l9;</text>")),
            format!("<!DOCTYPE svg [<!ENTITY x SYSTEM \"file:///etc/passwd\">]>{}", svg("<text>&x;</text>")),
        ] {
            assert!(fault(&document).unwrap().contains("defines entities"));
        }
        let styled = format!("<?xml-stylesheet href='https://elsewhere.example/a.css'?>{}", svg(""));
        assert!(fault(&styled).unwrap().contains("<?xml-stylesheet?>"));
        assert!(fault("<html><svg/></html>").unwrap().contains("outermost"));
        assert!(fault("").unwrap().contains("it is no SVG"));
    }

    fn svg(inside: &str) -> String {
        format!(
            "<svg xmlns='{SVG}' xmlns:xlink='http://www.w3.org/1999/xlink' viewBox='0 0 9 9'><g id='a'/>{inside}</svg>"
        )
    }
}
