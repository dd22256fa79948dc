//! What a line of a page never ends between: a number and its percent sign. Done once for the text of
//! every page, so that sentences, logs and data keep their plain spaces.

/// Elements whose text stays as it is.
const VERBATIM: [&str; 3] = ["pre", "script", "style"];

/// The page with spaces that do not break between digits and percent signs, outside of tags and of what
/// is shown as it came.
pub fn never_apart(html: String) -> String {
    if !html.contains(" %") {
        return html;
    }
    let mut told = String::with_capacity(html.len() + 64);
    let mut rest = html.as_str();
    while let Some(at) = rest.find('<') {
        let (text, tagged) = rest.split_at(at);
        push(&mut told, text);
        // Attributes hold no such sign as it is: all of them are escaped.
        let end = match VERBATIM.iter().find(|name| is_begun(tagged, name)) {
            Some(name) => {
                let close = format!("</{name}>");
                tagged.find(&close).map(|close_at| close_at + close.len())
            }
            None => tagged.find('>').map(|close| close + 1),
        };
        let (tag, after) = tagged.split_at(end.unwrap_or(tagged.len()));
        told.push_str(tag);
        rest = after;
    }
    push(&mut told, rest);
    told
}

fn is_begun(tagged: &str, name: &str) -> bool {
    let after = tagged[1..].strip_prefix(name);
    after.is_some_and(|after| after.starts_with([' ', '>', '\n']))
}

fn push(told: &mut String, text: &str) {
    let mut rest = text;
    while let Some(at) = rest.find(" %") {
        let (before, after) = (&rest[..at], &rest[at + 2..]);
        let is_number = before.ends_with(|sign: char| sign.is_ascii_digit())
            && !after.starts_with(|sign: char| sign.is_alphanumeric());
        told.push_str(before);
        told.push_str(if is_number { "\u{a0}%" } else { " %" });
        rest = after;
    }
    told.push_str(rest);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_stays_with_its_percent_sign_and_nothing_else_changes() {
        let cases = [
            ("<p>With 95 % intervals, 5 %</p>", "<p>With 95\u{a0}% intervals, 5\u{a0}%</p>"),
            (r#"<a title="5 % x">a % b</a>"#, r#"<a title="5 % x">a % b</a>"#),
            (
                "<pre class=\"x\">at 5 % <b>6 %</b></pre>7 %",
                "<pre class=\"x\">at 5 % <b>6 %</b></pre>7\u{a0}%",
            ),
            ("<script>a = 5 % 3 < 4 % 3</script>", "<script>a = 5 % 3 < 4 % 3</script>"),
            ("<prefix>5 %</prefix>", "<prefix>5\u{a0}%</prefix>"),
            ("printf 5 %d", "printf 5 %d"),
            ("broken <p 5 %", "broken <p 5 %"),
            ("", ""),
        ];
        for (html, expected) in cases {
            assert_eq!(never_apart(html.to_owned()), expected);
        }
    }
}
