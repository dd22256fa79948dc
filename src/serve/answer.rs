//! What a well-formed request is answered with: the file, a part of it, "not modified", or a page
//! that says what is missing. Every answer carries an exact length.

use std::fs::{File, Metadata};
use std::io::{self, Cursor, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::compressed::Compressed;
use super::missing::missing_page;
use super::path::{self, Found};
use super::range::{self, Part};

/// The headers of a request that change its answer.
#[derive(Debug, Default)]
pub(super) struct Asked<'a> {
    pub path: &'a str,
    /// What stands behind the question mark.
    pub query: &'a str,
    pub accept: Option<&'a str>,
    pub range: Option<&'a str>,
    pub if_range: Option<&'a str>,
    pub if_none_match: Option<&'a str>,
    pub accept_encoding: Option<&'a str>,
    /// The place of whoever asks among the people who may act, as the guard knows it.
    pub person: Option<usize>,
}

pub(super) struct Answer {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub length: u64,
    pub body: Box<dyn Read + Send>,
}

/// Answers from the folder `reports`. `problem` is why the last build failed, if it did.
pub(super) fn answer(
    reports: &Path,
    asked: &Asked,
    compressed: &Compressed,
    problem: Option<&str>,
) -> Answer {
    match path::open(reports, asked.path) {
        Found::File { file, path } => {
            send(file, &path, asked, compressed).unwrap_or_else(|_| not_found(reports, asked, problem))
        }
        Found::NeedsSlash(target) => Answer {
            headers: vec![("Location", target)],
            ..text(301, "text/plain; charset=utf-8", String::new())
        },
        Found::Nothing => not_found(reports, asked, problem),
    }
}

fn send(mut file: File, path: &Path, asked: &Asked, compressed: &Compressed) -> io::Result<Answer> {
    let metadata = file.metadata()?;
    let length = metadata.len();
    let tag = entity_tag(&metadata);
    let kind = Kind::of(path);
    let mut headers = vec![("Content-Type", kind.content_type.to_owned())];
    if kind.compressible {
        headers.push(("Vary", "Accept-Encoding".to_owned()));
    } else {
        headers.push(("Accept-Ranges", "bytes".to_owned()));
    }

    let takes_gzip = kind.compressible && asked.accept_encoding.is_some_and(accepts_gzip);
    // A range is of the file's own bytes, so it is never taken of the compressed form.
    if takes_gzip
        && asked.range.is_none()
        && let Some(bytes) = compressed.body(path, &tag, &mut file, length)?
    {
        let tag = format!("\"{tag}-gz\"");
        told(&mut headers, kind.content_type, &tag);
        if asked.if_none_match.is_some_and(|tags| lists(tags, &tag)) {
            return Ok(not_modified(headers, tag));
        }
        headers.push(("ETag", tag));
        headers.push(("Content-Encoding", "gzip".to_owned()));
        return Ok(Answer {
            status: 200,
            headers,
            length: bytes.as_ref().len() as u64,
            body: Box::new(Cursor::new(bytes)),
        });
    }

    told(&mut headers, kind.content_type, &format!("\"{tag}\""));
    stream(file, asked, headers)
}

/// The file's own bytes as they are read, or those of the range that is asked for.
pub(super) fn stream(
    mut file: File,
    asked: &Asked,
    mut headers: Vec<(&'static str, String)>,
) -> io::Result<Answer> {
    let metadata = file.metadata()?;
    let length = metadata.len();
    let tag = format!("\"{}\"", entity_tag(&metadata));
    if asked.if_none_match.is_some_and(|tags| lists(tags, &tag)) {
        return Ok(not_modified(headers, tag));
    }
    // A range asked of another version than this one is answered with the whole of this one.
    let same_version = asked.if_range.is_none_or(|version| version == tag);
    let part = match asked.range {
        Some(range) if same_version => range::requested(range, length),
        _ => Part::Whole,
    };
    headers.push(("ETag", tag));
    let (status, first, count) = match part {
        Part::Whole => (200, 0, length),
        Part::Bytes { first, last } => {
            headers.push(("Content-Range", format!("bytes {first}-{last}/{length}")));
            (206, first, last - first + 1)
        }
        Part::Unsatisfiable => {
            headers.push(("Content-Range", format!("bytes */{length}")));
            (416, 0, 0)
        }
    };
    file.seek(SeekFrom::Start(first))?;
    Ok(Answer { status, headers, length: count, body: Box::new(file.take(count)) })
}

/// Tells the script of a page which version it is in: browsers keep the tag to themselves, and without it the
/// whole page would be asked for again.
fn told(headers: &mut Vec<(&'static str, String)>, content_type: &str, tag: &str) {
    if content_type.starts_with("text/html") {
        headers.push(("Server-Timing", format!("version;desc={tag}")));
    }
}

fn not_modified(mut headers: Vec<(&'static str, String)>, tag: String) -> Answer {
    headers.push(("ETag", tag));
    Answer { status: 304, headers, length: 0, body: Box::new(io::empty()) }
}

fn not_found(reports: &Path, asked: &Asked, problem: Option<&str>) -> Answer {
    let built = reports.join("index.html").is_file();
    let page = missing_page(asked.path, built, problem);
    text(404, "text/html; charset=utf-8", page)
}

fn text(status: u16, content_type: &str, body: String) -> Answer {
    Answer {
        status,
        headers: vec![("Content-Type", content_type.to_owned())],
        length: body.len() as u64,
        body: Box::new(Cursor::new(body)),
    }
}

/// Changes whenever the report replaces the file (another inode) or appends to it (length, time).
fn entity_tag(metadata: &Metadata) -> String {
    format!("{:x}-{:x}-{:x}{:08x}", metadata.ino(), metadata.len(), metadata.mtime(), metadata.mtime_nsec())
}

/// Whether an `If-None-Match` names the tag; weak ones compare like strong ones here (RFC 9110).
pub(super) fn lists(tags: &str, tag: &str) -> bool {
    tags.split(',')
        .map(|listed| listed.trim())
        .any(|listed| listed == "*" || listed.strip_prefix("W/").unwrap_or(listed) == tag)
}

/// Whether an `Accept-Encoding` allows gzip, by name or by the star.
pub(super) fn accepts_gzip(header: &str) -> bool {
    let quality = |name: &str| {
        header.split(',').find_map(|entry| {
            let mut parts = entry.split(';').map(str::trim);
            parts.next()?.eq_ignore_ascii_case(name).then(|| {
                parts
                    .find_map(|part| part.strip_prefix("q="))
                    .map_or(1.0, |value| value.trim().parse().unwrap_or(0.0))
            })
        })
    };
    quality("gzip").or_else(|| quality("*")).unwrap_or(0.0) > 0.0
}

/// How a file is named to the browser, by its ending.
struct Kind {
    content_type: &'static str,
    /// CSV never is: its followers count bytes.
    compressible: bool,
}

impl Kind {
    fn of(path: &Path) -> Kind {
        let ending = path.extension().and_then(|ending| ending.to_str());
        let (content_type, compressible) = match ending.unwrap_or_default() {
            "html" => ("text/html; charset=utf-8", true),
            "css" => ("text/css; charset=utf-8", true),
            "js" => ("text/javascript; charset=utf-8", true),
            "json" => ("application/json", true),
            "svg" => ("image/svg+xml", true),
            "txt" | "log" => ("text/plain; charset=utf-8", true),
            "csv" => ("text/csv; charset=utf-8", false),
            "png" => ("image/png", false),
            "jpg" | "jpeg" => ("image/jpeg", false),
            "ico" => ("image/x-icon", false),
            "woff2" => ("font/woff2", false),
            "pdf" => ("application/pdf", false),
            _ => ("application/octet-stream", false),
        };
        Kind { content_type, compressible }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Site {
        folder: tempfile::TempDir,
        compressed: Compressed,
    }

    impl Site {
        fn new() -> Site {
            let folder = tempfile::tempdir().unwrap();
            std::fs::write(folder.path().join("rows.csv"), "0123456789").unwrap();
            std::fs::write(folder.path().join("index.html"), "<p>".repeat(1000)).unwrap();
            Site { folder, compressed: Compressed::default() }
        }

        fn ask(&self, asked: Asked) -> (u16, String, Vec<u8>) {
            let mut answer = answer(self.folder.path(), &asked, &self.compressed, None);
            let mut body = Vec::new();
            answer.body.read_to_end(&mut body).unwrap();
            assert_eq!(answer.length, body.len() as u64);
            let headers: Vec<_> =
                answer.headers.iter().map(|(name, value)| format!("{name}: {value}")).collect();
            (answer.status, headers.join("\n"), body)
        }

        fn tag(&self, path: &str) -> String {
            let (_, headers, _) = self.ask(Asked { path, ..Asked::default() });
            let tag = headers.lines().find_map(|line| line.strip_prefix("ETag: "));
            tag.unwrap().to_owned()
        }
    }

    #[test]
    fn a_part_is_sent_with_its_place_and_only_of_the_version_meant() {
        let site = Site::new();
        let tag = site.tag("/rows.csv");
        let ask = |range, if_range| {
            site.ask(Asked { path: "/rows.csv", range: Some(range), if_range, ..Asked::default() })
        };
        let (status, headers, body) = ask("bytes=7-", None);
        assert_eq!((status, body.as_slice()), (206, &b"789"[..]));
        assert!(headers.contains("Content-Range: bytes 7-9/10"), "{headers}");

        let (status, headers, body) = ask("bytes=10-", None);
        assert_eq!((status, body.len()), (416, 0));
        assert!(headers.contains("Content-Range: bytes */10"), "{headers}");

        assert_eq!(ask("bytes=0-1,4-5", None).0, 200);
        assert_eq!(ask("bytes=7-", Some(&tag)).0, 206);
        assert_eq!(ask("bytes=7-", Some("\"another\"")).0, 200);
        assert_eq!(ask("bytes=7-", Some("Thu, 01 Jan 2026 00:00:00 GMT")).0, 200);
    }

    #[test]
    fn an_unchanged_file_is_not_sent_again_and_a_changed_one_is() {
        let site = Site::new();
        let tag = site.tag("/rows.csv");
        let ask =
            |tags: &str| site.ask(Asked { path: "/rows.csv", if_none_match: Some(tags), ..Asked::default() });
        for tags in [&tag, &format!("\"x\", W/{tag}"), "*"] {
            let (status, headers, body) = ask(tags);
            assert_eq!((status, body.len()), (304, 0), "{tags}");
            assert!(headers.contains(&tag), "{headers}");
        }
        assert_eq!(ask("\"x\"").0, 200);
        std::fs::write(site.folder.path().join("rows.csv"), "0123456789a").unwrap();
        assert_eq!(ask(&tag).0, 200);
    }

    #[test]
    fn text_is_compressed_for_those_who_take_it_and_csv_never() {
        let site = Site::new();
        let ask =
            |path, encoding| site.ask(Asked { path, accept_encoding: Some(encoding), ..Asked::default() });
        let (status, headers, body) = ask("/", "br, gzip;q=0.5");
        assert_eq!(status, 200);
        assert!(headers.contains("Content-Encoding: gzip"), "{headers}");
        assert!(headers.contains("Vary: Accept-Encoding"), "{headers}");
        let mut text = String::new();
        flate2::read::GzDecoder::new(body.as_slice()).read_to_string(&mut text).unwrap();
        assert_eq!(text, "<p>".repeat(1000));

        for encoding in ["identity", "gzip;q=0", "br", "gzip;q=0, *"] {
            let (_, headers, body) = ask("/", encoding);
            assert!(!headers.contains("Content-Encoding"), "{encoding}");
            assert_eq!(body.len(), 3000);
        }
        assert!(!ask("/rows.csv", "gzip").1.contains("Content-Encoding"));
    }

    #[test]
    fn a_file_has_the_type_of_its_ending_and_parts_where_it_is_never_compressed() {
        for (file, content_type, compressible) in [
            ("a.html", "text/html; charset=utf-8", true),
            ("a.css", "text/css; charset=utf-8", true),
            ("a.js", "text/javascript; charset=utf-8", true),
            ("a.json", "application/json", true),
            ("a.svg", "image/svg+xml", true),
            ("a.log", "text/plain; charset=utf-8", true),
            ("a.csv", "text/csv; charset=utf-8", false),
            ("a.png", "image/png", false),
            ("a.jpeg", "image/jpeg", false),
            ("a.ico", "image/x-icon", false),
            ("a.woff2", "font/woff2", false),
            ("a.pdf", "application/pdf", false),
            ("a.safetensors", "application/octet-stream", false),
            ("html", "application/octet-stream", false),
        ] {
            let site = Site::new();
            std::fs::write(site.folder.path().join(file), "x".repeat(2000)).unwrap();
            let path = format!("/{file}");
            let (_, headers, _) =
                site.ask(Asked { path: &path, accept_encoding: Some("gzip"), ..Asked::default() });
            assert!(headers.contains(&format!("Content-Type: {content_type}\n")), "{file}: {headers}");
            assert_eq!(headers.contains("Content-Encoding: gzip"), compressible, "{file}");
            assert_eq!(headers.contains("Accept-Ranges: bytes"), !compressible, "{file}");
        }
    }

    #[test]
    fn a_page_is_told_its_own_version_and_nothing_else_is() {
        let site = Site::new();
        for accept_encoding in [None, Some("gzip")] {
            let ask =
                |path, tag| site.ask(Asked { path, accept_encoding, if_none_match: tag, ..Asked::default() });
            let (_, headers, _) = ask("/index.html", None);
            let tag = headers.lines().find_map(|line| line.strip_prefix("ETag: ")).unwrap();
            let told = format!("Server-Timing: version;desc={tag}");
            assert!(headers.lines().any(|line| line == told), "{headers}");
            let (status, headers, _) = ask("/index.html", Some(tag));
            assert!(status == 304 && headers.lines().any(|line| line == told), "{headers}");
            assert!(!ask("/rows.csv", None).1.contains("Server-Timing"));
        }
    }

    #[test]
    fn both_forms_of_a_page_have_tags_of_their_own() {
        let site = Site::new();
        let (_, headers, _) =
            site.ask(Asked { path: "/", accept_encoding: Some("gzip"), ..Asked::default() });
        let tag = headers.lines().find_map(|line| line.strip_prefix("ETag: ")).unwrap();
        assert_ne!(tag, site.tag("/"));
        let (status, ..) = site.ask(Asked {
            path: "/",
            accept_encoding: Some("gzip"),
            if_none_match: Some(tag),
            ..Asked::default()
        });
        assert_eq!(status, 304);
    }

    #[test]
    fn a_missing_page_says_so_with_its_name_escaped() {
        let site = Site::new();
        let (status, headers, body) =
            site.ask(Asked { path: "/<script>alert(1)</script>", ..Asked::default() });
        let page = String::from_utf8(body).unwrap();
        assert_eq!(status, 404);
        assert!(headers.contains("text/html"));
        assert!(!page.contains("<script>"), "{page}");
        assert!(page.contains("&lt;script&gt;"), "{page}");
    }
}
