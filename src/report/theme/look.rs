//! How pages look: the common style, the theme that `overnight.toml` names, and its logo. A theme that does
//! not work is told and left out; the pages then look as they do without.

use std::borrow::Cow;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use super::logo;
use crate::run_dir::{is_plain_name, read};

/// Themes that come with the program, with what each says beyond the common style.
pub const BUILT_IN: [(&str, &str); 3] = [
    ("default", ""),
    ("contrast", include_str!("../../../themes/contrast/theme.css")),
    ("paper", include_str!("../../../themes/paper/theme.css")),
];
const LOGO: &str = include_str!("../../../themes/default/logo.svg");

/// Bytes that a theme's file may have.
const MOST: u64 = 512 * 1024;

pub struct Look {
    /// Stands after the common style.
    pub style: String,
    pub logo: Logo,
    /// What did not work, and what would help.
    pub warning: Option<String>,
}

pub struct Logo {
    /// Path below `reports/`.
    pub path: &'static str,
    pub media_type: &'static str,
    pub bytes: Cow<'static, [u8]>,
}

impl Look {
    /// The theme of this name: files of `themes/<name>/` before what is built in.
    pub fn of(themes: &Path, name: &str) -> Look {
        Look::read(themes, name).unwrap_or_else(|problem| Look {
            warning: Some(format!("the theme \"{name}\" is left out: {problem}")),
            ..Look::plain()
        })
    }

    fn plain() -> Look {
        let bytes = Cow::Borrowed(LOGO.as_bytes());
        let logo = Logo { path: "assets/logo.svg", media_type: "image/svg+xml", bytes };
        Look { style: String::new(), logo, warning: None }
    }

    fn read(themes: &Path, name: &str) -> Result<Look, String> {
        if !is_plain_name(name) {
            return Err("a theme's name has letters, digits, `.`, `_` and `-`".into());
        }
        let folder = themes.join(name);
        let built_in = BUILT_IN.iter().find(|(known, _)| *known == name).map(|(_, style)| *style);
        let path = folder.join("theme.css");
        let style = match (file(&path)?, built_in) {
            (Some(bytes), _) => text(&path, bytes)?,
            (None, Some(built_in)) => built_in.to_owned(),
            (None, None) => {
                let known: Vec<&str> = BUILT_IN.iter().map(|(name, _)| *name).collect();
                return Err(format!("there is no {} (built in are {})", path.display(), known.join(", ")));
            }
        };
        fault(&style).map_or(Ok(()), |fault| Err(format!("{}: {fault}", path.display())))?;
        Ok(Look { style, logo: logo(&folder)?, warning: None })
    }
}

fn logo(folder: &Path) -> Result<Logo, String> {
    let kinds =
        [("assets/logo.svg", "logo.svg", "image/svg+xml"), ("assets/logo.png", "logo.png", "image/png")];
    for (path, name, media_type) in kinds {
        let from = folder.join(name);
        let Some(bytes) = file(&from)? else { continue };
        let found = match media_type {
            "image/png" if bytes.starts_with(b"\x89PNG\r\n\x1a\n") => None,
            "image/png" => Some("it is no PNG".to_owned()),
            _ => str::from_utf8(&bytes).map_or_else(|_| Some("it is not UTF-8".to_owned()), logo::fault),
        };
        if let Some(found) = found {
            return Err(format!("{} is not used: {found}", from.display()));
        }
        return Ok(Logo { path, media_type, bytes: Cow::Owned(bytes) });
    }
    Ok(Look::plain().logo)
}

/// The bytes of a file; nothing where there is none.
fn file(path: &Path) -> Result<Option<Vec<u8>>, String> {
    let told = |error: std::io::Error| format!("{}: {error}", path.display());
    match fs::metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(told(error)),
        Ok(_) if leads_out(path) => return Err(format!("{} is a link to elsewhere", path.display())),
        Ok(found) if !found.is_file() => return Err(format!("{} is no file", path.display())),
        Ok(found) if found.len() > MOST => {
            return Err(format!("{} is larger than {} KiB", path.display(), MOST / 1024));
        }
        Ok(_) => {}
    }
    read::bounded(path, MOST).map(Some).map_err(told)
}

/// Whether a theme's file lies outside of the folder of themes: what it leads to would be sent along.
fn leads_out(path: &Path) -> bool {
    let themes = path.parent().and_then(Path::parent).and_then(|themes| fs::canonicalize(themes).ok());
    !themes.is_some_and(|themes| fs::canonicalize(path).is_ok_and(|path| path.starts_with(themes)))
}

fn text(path: &Path, bytes: Vec<u8>) -> Result<String, String> {
    String::from_utf8(bytes).map_err(|_| format!("{} is not UTF-8", path.display()))
}

/// What keeps a style from being used. A browser would pass over what it does not understand, and over
/// all that follows an open brace; what asks another host would tell it who reads the report.
fn fault(style: &str) -> Option<String> {
    let (mut depth, mut line) = (0_u32, 1);
    let mut rest = style;
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '/' if rest.starts_with("/*") => match rest[2..].find("*/") {
                Some(end) => end + 4,
                None => return Some(format!("a comment is open from line {line} on")),
            },
            '"' | '\'' => match closing(rest, first) {
                Some(end) => end,
                None => return Some(format!("a string is open in line {line}")),
            },
            '{' => {
                depth += 1;
                1
            }
            '}' if depth == 0 => return Some(format!("a brace too many in line {line}")),
            '}' => {
                depth -= 1;
                1
            }
            other => other.len_utf8(),
        };
        line += rest[..length].matches('\n').count();
        rest = &rest[length..];
    }
    if depth > 0 {
        return Some("a brace is not closed".into());
    }
    asks_elsewhere(style)
}

/// Whether a style would ask for a file, however that is spelled.
pub(super) fn asks_elsewhere(style: &str) -> Option<String> {
    // Addresses of names within a namespace are no addresses of files.
    let plain = unescaped(style).to_ascii_lowercase().replace("http://www.w3.org/", "");
    let words: String =
        plain.split("/*").map(|part| part.split_once("*/").map_or(part, |(_, rest)| rest)).collect();
    let dense = |text: &str| text.chars().filter(|one| !one.is_whitespace()).collect::<String>();
    let asks = ["@import", "http:", "https:", "file:", "ftp:", "url(//", "'//", "\"//"];
    let all = [dense(&plain), dense(&words)];
    asks.iter().find(|word| all.iter().any(|text| text.contains(*word))).map(|word| {
        format!(
            "\"{word}\" would ask for something from elsewhere (put it into the file, or as a data: address)"
        )
    })
}

/// A style with the signs that it writes by their number, as `\69 mport`.
fn unescaped(style: &str) -> String {
    let mut plain = String::with_capacity(style.len());
    let mut rest = style;
    while let Some((before, after)) = rest.split_once('\\') {
        plain += before;
        let digits = after.bytes().take(6).take_while(u8::is_ascii_hexdigit).count();
        let sign = u32::from_str_radix(&after[..digits], 16).ok().and_then(char::from_u32);
        plain.extend(sign);
        rest = &after[digits..];
        if digits > 0 {
            rest = rest.strip_prefix(|one: char| one.is_ascii_whitespace()).unwrap_or(rest);
        } else {
            let mut signs = rest.chars();
            plain.extend(signs.next());
            rest = signs.as_str();
        }
    }
    plain + rest
}

/// Bytes up to and with the quote that closes what begins here; none on the same line otherwise.
fn closing(rest: &str, quote: char) -> Option<usize> {
    let mut is_escaped = false;
    for (at, one) in rest.char_indices().skip(1) {
        match one {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            '\n' => return None,
            _ if one == quote => return Some(at + 1),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMMON: &str = include_str!("../../../themes/default/style.css");

    fn themes(files: &[(&str, &[u8])]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (path, bytes) in files {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
        folder
    }

    #[test]
    fn each_built_in_theme_works() {
        let nowhere = tempfile::tempdir().unwrap();
        for (name, style) in BUILT_IN {
            let look = Look::of(nowhere.path(), name);
            assert_eq!((look.warning, look.style.as_str()), (None, style), "{name}");
        }
        assert_eq!(fault(COMMON), None);
    }

    #[test]
    fn a_theme_of_the_workspace_stands_before_the_built_in_one() {
        let folder = themes(&[
            ("paper/theme.css", b":root { --ink: #111 }"),
            ("ours/theme.css", b"/* } */ a::after { content: \"}\" }"),
            ("ours/logo.png", b"\x89PNG\r\n\x1a\nrest"),
        ]);
        assert_eq!(Look::of(folder.path(), "paper").style, ":root { --ink: #111 }");
        let ours = Look::of(folder.path(), "ours");
        assert_eq!((ours.warning, ours.logo.path), (None, "assets/logo.png"));
    }

    #[test]
    fn a_broken_theme_is_told_and_left_out() {
        let folder = themes(&[
            ("open/theme.css", b":root { --ink: #111 "),
            ("closed/theme.css", b":root { }\n }"),
            ("comment/theme.css", b"\n/* :root { }"),
            ("string/theme.css", b"a { content: \"x\n }"),
            ("far/theme.css", b"@import url(https://fonts.example/a.css);"),
            ("escaped/theme.css", b"@\\69 mport 'x.css';"),
            ("spaced/theme.css", b"a { background: url( \n //elsewhere.example/a.png) }"),
            ("hidden/theme.css", b"a { background: url(h\\74tp:/\\2f elsewhere.example/a.png) }"),
            ("set/theme.css", b"a { background: image-set('//elsewhere.example/a.png' 1x) }"),
            ("bytes/theme.css", b"\xff\xfe"),
            ("logo/theme.css", b""),
            ("logo/logo.svg", b"GIF89a"),
            ("folder/theme.css/x", b""),
            ("large/theme.css", &vec![b' '; MOST as usize + 1]),
        ]);
        for (name, said) in [
            ("open", "a brace is not closed"),
            ("closed", "a brace too many in line 2"),
            ("comment", "a comment is open from line 2 on"),
            ("string", "a string is open in line 1"),
            ("far", "from elsewhere"),
            ("bytes", "is not UTF-8"),
            ("logo", "logo.svg is not used: it is no SVG"),
            ("folder", "is no file"),
            ("large", "is larger than 512 KiB"),
            ("escaped", "from elsewhere"),
            ("spaced", "from elsewhere"),
            ("hidden", "from elsewhere"),
            ("set", "from elsewhere"),
            ("missing", "missing/theme.css (built in are default, contrast, paper)"),
            ("../paper", "letters, digits"),
        ] {
            let look = Look::of(folder.path(), name);
            let warning = look.warning.unwrap_or_default();
            assert!(warning.starts_with(&format!("the theme \"{name}\" is left out: ")), "{name}: {warning}");
            assert!(warning.contains(said), "{name}: {warning}");
            assert_eq!(look.style, "", "{name}");
            assert_eq!(look.logo.bytes, LOGO.as_bytes(), "{name}");
        }
    }

    #[test]
    fn what_lies_behind_a_link_or_a_pipe_is_no_theme() {
        let folder = themes(&[("ours/theme.css", b"a { color: red }"), ("secret", b"TOP-SECRET")]);
        let at = |path: &str| folder.path().join(path);
        fs::create_dir_all(at("themes/out")).unwrap();
        fs::create_dir_all(at("themes/pipe")).unwrap();
        std::os::unix::fs::symlink(at("secret"), at("themes/out/theme.css")).unwrap();
        std::os::unix::fs::symlink(at("ours"), at("themes/whole")).unwrap();
        let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
        let kind = rustix::fs::FileType::Fifo;
        rustix::fs::mknodat(rustix::fs::CWD, at("themes/pipe/theme.css"), kind, mode, 0).unwrap();
        for (name, said) in
            [("out", "is a link to elsewhere"), ("whole", "is a link to elsewhere"), ("pipe", "is no file")]
        {
            let look = Look::of(&at("themes"), name);
            assert!(
                look.warning.as_ref().is_some_and(|warning| warning.contains(said)),
                "{:?}",
                look.warning
            );
            assert_eq!(look.style, "");
        }
    }

    /// Every color that a style sheet gives a name, by day or by night.
    fn colors(style: &str, by_night: bool) -> Vec<(String, [f64; 3])> {
        let (day, night) = style.split_once("prefers-color-scheme: dark").unwrap_or((style, ""));
        let part = if by_night { night.split("\n}\n").next().unwrap() } else { day };
        part.split("--")
            .filter_map(|piece| {
                let (name, rest) = piece.split_once(": #")?;
                let digits = rest.get(..6)?;
                let channel = |at: usize| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok();
                let linear = |value: u8| match f64::from(value) / 255.0 {
                    small if small <= 0.04045 => small / 12.92,
                    large => ((large + 0.055) / 1.055).powf(2.4),
                };
                Some((name.to_owned(), [linear(channel(0)?), linear(channel(2)?), linear(channel(4)?)]))
            })
            .collect()
    }

    /// The contrast ratio of WCAG 2.2.
    fn contrast(one: [f64; 3], other: [f64; 3]) -> f64 {
        let luminance = |[red, green, blue]: [f64; 3]| 0.2126 * red + 0.7152 * green + 0.0722 * blue;
        let (low, high) = (luminance(one).min(luminance(other)), luminance(one).max(luminance(other)));
        (high + 0.05) / (low + 0.05)
    }

    #[test]
    fn text_and_lines_stand_out_from_the_page_in_every_theme() {
        for (name, style) in BUILT_IN {
            let style = if name == "default" { COMMON } else { style };
            // The one for papers has no night.
            let modes: &[bool] = if name == "paper" { &[false] } else { &[false, true] };
            let (of_text, of_lines) = if name == "contrast" { (7.0, 4.5) } else { (4.5, 3.0) };
            for &by_night in modes {
                let colors = colors(style, by_night);
                let color = |wanted: &str| {
                    let found = colors.iter().find(|(name, _)| name == wanted);
                    found.unwrap_or_else(|| panic!("{name} has no --{wanted}, night: {by_night}")).1
                };
                for ground in ["paper", "card"] {
                    for text in ["ink", "soft", "accent", "good", "busy", "wait", "bad", "hold"] {
                        let found = contrast(color(text), color(ground));
                        assert!(found >= of_text, "{name} --{text} on --{ground}: {found:.2}");
                    }
                    for line in 1..=8 {
                        let found = contrast(color(&format!("s{line}")), color(ground));
                        assert!(found >= of_lines, "{name} --s{line} on --{ground}: {found:.2}");
                    }
                }
            }
        }
    }
}
