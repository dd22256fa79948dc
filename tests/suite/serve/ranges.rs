//! Parts of files and versions of them, through the front.

use super::Served;

const CSV: &str = "/runs/a/metrics.csv";
const ROWS: &[u8] = b"step\n1\n2\n3\n";

#[test]
fn each_form_of_a_range_gets_the_part_it_names_or_the_whole() {
    let served = Served::new();
    for (range, status, body, place) in [
        ("bytes=0-3", 206, &ROWS[..4], Some("bytes 0-3/11")),
        ("bytes=0-0", 206, &ROWS[..1], Some("bytes 0-0/11")),
        ("bytes=5-", 206, &ROWS[5..], Some("bytes 5-10/11")),
        ("bytes=10-", 206, &ROWS[10..], Some("bytes 10-10/11")),
        ("bytes=-2", 206, &ROWS[9..], Some("bytes 9-10/11")),
        ("bytes=-500", 206, ROWS, Some("bytes 0-10/11")),
        ("bytes=5-500", 206, &ROWS[5..], Some("bytes 5-10/11")),
        // Nothing of it is there: how long the file is, so that a follower of a cut one knows.
        ("bytes=11-", 416, b"", Some("bytes */11")),
        ("bytes=500-600", 416, b"", Some("bytes */11")),
        ("bytes=-0", 416, b"", Some("bytes */11")),
        ("bytes=99999999999999999999-", 416, b"", Some("bytes */11")),
        // Several, and what is no range at all: the whole.
        ("bytes=0-1,4-5", 200, ROWS, None),
        ("bytes=0-,0-,0-,0-,0-,0-,0-,0-", 200, ROWS, None),
        ("bytes=-1,0-0", 200, ROWS, None),
        ("bytes=5-2", 200, ROWS, None),
        ("bytes=", 200, ROWS, None),
        ("bytes=-", 200, ROWS, None),
        ("bytes=--5", 200, ROWS, None),
        ("bytes=a-b", 200, ROWS, None),
        ("bytes 0-3", 200, ROWS, None),
        ("rows=0-3", 200, ROWS, None),
    ] {
        let reply = served.get_with(CSV, &format!("Range: {range}\r\nAccept-Encoding: gzip\r\n"));
        assert_eq!((reply.status, reply.body.as_slice()), (status, body), "{range}");
        assert_eq!(reply.header("content-range"), place, "{range}");
        assert_eq!(reply.header("content-length"), Some(body.len().to_string().as_str()), "{range}");
        assert_eq!(reply.header("content-encoding"), None, "{range}");
        assert!(reply.header("etag").is_some(), "{range}");
    }
    // Twice is as good as never: one of them may have been slipped in.
    let reply = served.get_with(CSV, "Range: bytes=0-1\r\nRange: bytes=2-3\r\n");
    assert_eq!((reply.status, reply.body.as_slice()), (200, ROWS));
}

#[test]
fn a_part_is_given_only_of_the_version_that_is_meant() {
    let served = Served::new();
    let tag = served.get(CSV).header("etag").unwrap().to_owned();
    let ask =
        |version: &str| served.get_with(CSV, &format!("Range: bytes=5-6\r\nIf-Range: {version}\r\n")).status;
    assert_eq!(ask(&tag), 206);
    assert_eq!(ask(&format!("W/{tag}")), 200, "a weak tag promises no bytes");
    assert_eq!(ask("\"another\""), 200);
    assert_eq!(ask("Thu, 01 Jan 2026 00:00:00 GMT"), 200);
    std::fs::write(served.reports().join("runs/a/metrics.csv"), "step\n1\n2\n3\n4\n").unwrap();
    assert_eq!(ask(&tag), 200);
}

#[test]
fn what_a_browser_holds_is_not_sent_again_until_it_changes() {
    let served = Served::new();
    for path in ["/", CSV] {
        let tag = served.get(path).header("etag").unwrap().to_owned();
        for held in [tag.clone(), format!("W/{tag}"), format!("\"x\", {tag}"), "*".to_owned()] {
            let reply = served.get_with(path, &format!("If-None-Match: {held}\r\n"));
            assert_eq!((reply.status, reply.body.len()), (304, 0), "{path} {held}");
            assert_eq!(reply.header("etag"), Some(tag.as_str()));
        }
        assert_eq!(served.get_with(path, "If-None-Match: \"x\"\r\n").status, 200);
    }
    // The condition comes before the part (RFC 9110, section 13.2.2).
    let tag = served.get(CSV).header("etag").unwrap().to_owned();
    let both = format!("If-None-Match: {tag}\r\nRange: bytes=0-1\r\n");
    assert_eq!(served.get_with(CSV, &both).status, 304);
    // Rows of the same second and the same length are another version: the file was replaced.
    let file = served.reports().join("runs/a/metrics.csv");
    std::fs::write(file.with_extension("new"), "step\n9\n9\n9\n").unwrap();
    std::fs::rename(file.with_extension("new"), &file).unwrap();
    assert_eq!(served.get_with(CSV, &both).status, 206);
}

#[test]
fn a_range_of_a_page_is_of_its_own_bytes_not_of_its_compressed_form() {
    let served = Served::new();
    let page = "<p>".repeat(5000);
    std::fs::write(served.reports().join("index.html"), &page).unwrap();
    let whole = served.get_with("/", "Accept-Encoding: gzip\r\n");
    assert_eq!(whole.header("content-encoding"), Some("gzip"));
    let part = served.get_with("/", "Accept-Encoding: gzip\r\nRange: bytes=3-5\r\n");
    assert_eq!((part.status, part.body.as_slice()), (206, &b"<p>"[..]));
    assert_ne!(part.header("etag"), whole.header("etag"));
}
