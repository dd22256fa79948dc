//! Requests for what lies outside of the report, in every encoding and by every link.

use std::os::unix::fs::symlink;

use super::{Served, ask};

#[test]
fn no_request_climbs_out_of_the_report_in_any_encoding() {
    let served = Served::new();
    let secret = served.folder.path().join("secret.txt");
    let absolute = secret.to_str().unwrap();
    let encoded = absolute.replace('/', "%2f");
    served.assert_hides(&[
        // Plain, and with dots that go nowhere.
        "/../secret.txt",
        "/runs/../../secret.txt",
        "/./../secret.txt",
        "/runs/a/../../../secret.txt",
        "/.../secret.txt",
        "/..;/secret.txt",
        // Percent, the slash too, upper and lower case.
        "/%2e%2e/secret.txt",
        "/%2E%2E/secret.txt",
        "/.%2e/secret.txt",
        "/..%2fsecret.txt",
        "/%2e%2e%2fsecret.txt",
        "/runs%2f..%2f..%2fsecret.txt",
        // Percent twice and three times.
        "/%252e%252e/secret.txt",
        "/%252e%252e%252fsecret.txt",
        "/%25252e%25252e%25252fsecret.txt",
        // Overlong UTF-8 of two, three and four bytes, and full-width forms.
        "/%c0%ae%c0%ae/secret.txt",
        "/%c0%ae%c0%ae%c0%afsecret.txt",
        "/%e0%80%ae%e0%80%ae/secret.txt",
        "/%f0%80%80%ae%f0%80%80%ae/secret.txt",
        "/%ef%bc%8e%ef%bc%8e/secret.txt",
        "/%u002e%u002e/secret.txt",
        // Backslashes.
        "/..\\secret.txt",
        "/..%5csecret.txt",
        "/%2e%2e%5csecret.txt",
        "/..%255csecret.txt",
        // NUL, and other ends of names.
        "/../secret.txt%00",
        "/../secret.txt%00.html",
        "/index.html%00",
        "/index.html%00/../../secret.txt",
        "/%00/../secret.txt",
        // Absolute, and as another host's.
        absolute,
        &format!("/{absolute}"),
        &format!("/{encoded}"),
        "//../secret.txt",
        "//..//secret.txt",
        "///../secret.txt",
        "//etc/passwd",
        "/%2fetc/passwd",
        "/etc/passwd",
        "/proc/self/environ",
        "/file:///etc/passwd",
        // A question mark ends the path wherever it stands.
        "/..?/secret.txt",
        "/%3f/../../secret.txt",
        // Where programs ask: names are looked up and never become a path.
        "/api/v1/runs/../../../secret.txt",
        "/api/v1/runs/..%2f..%2f../secret.txt",
        "/api/v1/runs/%2e%2e/secret.txt",
        "/api/v1/runs/../secret.txt/metrics",
        "/api/v1/runs/%2e%2e%2f%2e%2e/secret.txt/samples",
        "/api/v1/runs/x/..%00/progress",
        "/api/../secret.txt",
        "/metrics/../../secret.txt",
        "/healthz/../../secret.txt",
    ]);
    served.assert_answers();
}

#[test]
fn a_target_that_is_no_path_is_refused_before_any_file_is_touched() {
    let served = Served::new();
    for target in [
        &b"../secret.txt"[..],
        b"secret.txt",
        b"*",
        b"http://localhost/../secret.txt",
        b"file:///etc/passwd",
        b"\\..\\secret.txt",
        b"/\xc0\xae\xc0\xae/secret.txt",
        b"/\xe0\x80\xae\xe0\x80\xae/secret.txt",
        b"/index.html\0",
        b"/\x7f",
    ] {
        let request = [b"GET ", target, b" HTTP/1.1\r\nHost: localhost\r\n\r\n"].concat();
        assert_eq!(ask(served.address(), &request).status, 400, "{:?}", String::from_utf8_lossy(target));
    }
    served.assert_answers();
}

#[test]
fn links_that_lead_out_do_not_exist_however_they_are_reached() {
    let served = Served::new();
    let (outside, reports) = (served.folder.path(), served.reports());
    std::fs::write(outside.join("index.html"), "secret").unwrap();
    symlink(outside.join("secret.txt"), reports.join("link.txt")).unwrap();
    symlink("../secret.txt", reports.join("relative.txt")).unwrap();
    symlink(outside, reports.join("folder")).unwrap();
    symlink("folder/secret.txt", reports.join("chain.txt")).unwrap();
    symlink("folder", reports.join("runs/up")).unwrap();
    symlink("/", reports.join("root")).unwrap();
    symlink("loop", reports.join("loop")).unwrap();
    std::fs::create_dir(reports.join("page")).unwrap();
    symlink(outside.join("index.html"), reports.join("page/index.html")).unwrap();
    served.assert_hides(&[
        "/link.txt",
        "/relative.txt",
        "/folder",
        "/folder/",
        "/folder/secret.txt",
        "/folder/reports/../secret.txt",
        "/chain.txt",
        "/runs/up/secret.txt",
        "/root/etc/passwd",
        "/loop",
        "/page/",
        "/page/index.html",
    ]);
    // The report's own folder may be a link, and links within it lead where they say.
    symlink("runs/a/metrics.csv", reports.join("rows.csv")).unwrap();
    assert_eq!(served.get("/rows.csv").body, b"step\n1\n2\n3\n");
    assert_eq!(served.get("/folder/reports/index.html").status, 200, "it ends inside");
}
