//! Pages of hostile records, opened with hostile addresses and a storage full of rubbish or forbidden:
//! nothing of it runs, and nothing that was there before is gone.

use overnight::report::export::{Surroundings, export};
use overnight::run_dir::{Workspace, scan};
use serde_json::json;

use crate::chrome::{Chrome, Scripts, with_browser};
use crate::hostile_records::{HOSTILE, edit, spoil};
use crate::place::Place;

fn place() -> Place {
    let place = Place::morning();
    spoil(&place.runs[0]);
    let batch = &scan::batches(&Workspace::new(place.path()))[0];
    edit(&batch.batch_json(), |batch| batch["host"] = json!(HOSTILE));
    place.build();
    place
}

/// What the page must be like, whatever was done to it.
async fn is_whole(chrome: &Chrome, what: &str) {
    assert!(!chrome.is("'ran' in window").await, "{what}: something of a record ran");
    // A run that an address names and nobody has is asked for, and told of on the page.
    let is_missing = |said: &String| said.contains("/reports/data/") && said.contains("ERR_FILE_NOT_FOUND");
    let complaints: Vec<String> =
        chrome.complaints().await.into_iter().filter(|said| !is_missing(said)).collect();
    assert_eq!(complaints, Vec::<String>::new(), "{what}");
    assert!(
        chrome.is("document.querySelector('main, #main').textContent.trim().length > 20").await,
        "{what}"
    );
    assert!(chrome.is("typeof overnight.onPage === 'function' && (overnight.isSent || typeof overnight.unchoose === 'function')").await, "{what}");
}

/// A script that a page finds before its own.
async fn before_each_page(chrome: &Chrome, source: &str) -> String {
    let added = chrome.devtools("Page.addScriptToEvaluateOnNewDocument", json!({ "source": source })).await;
    added["identifier"].as_str().unwrap().to_owned()
}

#[test]
fn nothing_of_a_hostile_record_runs_and_no_address_or_storage_breaks_a_page() {
    with_browser(Scripts::On, async |chrome| {
        let place = place();
        let workspace = Workspace::new(place.path());
        let sent = export(&workspace, &scan::runs(&workspace), Surroundings::Shown, None).unwrap().html;
        std::fs::write(place.path().join("reports/sent.html"), sent).unwrap();
        let mut pages = place.pages();
        pages.push("sent.html".into());
        for page in &pages {
            chrome.goto(&place.file(page)).await;
            is_whole(chrome, page).await;
        }
        let key = format!("{}/{}", place.runs[0].experiment(), place.runs[0].name());
        chrome.goto("about:blank").await;
        chrome.goto(&format!("{}#runs={key}", place.file("compare.html"))).await;
        chrome.until("the table", "document.querySelector('#beside') !== null").await;
        is_whole(chrome, "compare").await;

        // Times that no calendar has, in what the first page tells of.
        chrome.goto(&place.file("index.html")).await;
        let told = "const section = document.querySelector('#since');
            const told = JSON.parse(section.dataset.told);
            told.events = told.events.map(([, ...rest]) => [1e300, ...rest]);
            section.dataset.told = JSON.stringify({ ...told, from: -1e300, built: 1e300 });
            overnight.preparers.last.forEach((prepare) => prepare(document));";
        chrome.run(told).await;
        chrome.run("section = document.querySelector('#since'); section.dataset.told = '{oops'; overnight.preparers.last.forEach((prepare) => prepare(document))").await;
        is_whole(chrome, "impossible times").await;

        // One page of each kind.
        let run = place.page_of(&place.runs[0]);
        let one_of_each = |page: &&String| {
            !page.starts_with("runs/") && !page.starts_with("experiments/")
                || **page == run
                || ["runs/index.html", "experiments/depth/index.html"].contains(&page.as_str())
        };
        let pages: Vec<&String> = pages.iter().filter(one_of_each).collect();
        let rubbish = [
            ("rubbish", "Storage.prototype.getItem = () => '{oops'"),
            (
                "other things",
                "Storage.prototype.getItem = () => JSON.stringify({ seen: 1e300, since: 'x', at: -1e300 })",
            ),
            (
                "names of no run",
                "Storage.prototype.getItem = () => JSON.stringify(['\\ud800/x', 7, null, 'a/b', 'x'.repeat(1e6)])",
            ),
            (
                "full",
                "Storage.prototype.setItem = () => { throw new DOMException('full', 'QuotaExceededError') }",
            ),
            (
                "forbidden",
                "Object.defineProperty(window, 'localStorage', { get() { throw new DOMException('no', 'SecurityError') } })",
            ),
            (
                "an address that stays",
                "history.replaceState = () => { throw new DOMException('no', 'SecurityError') }",
            ),
        ];
        for (what, source) in rubbish {
            let script = before_each_page(chrome, source).await;
            for page in &pages {
                chrome.goto("about:blank").await;
                chrome.goto(&place.file(page)).await;
                is_whole(chrome, &format!("{what}: {page}")).await;
            }
            chrome.goto(&place.file(&place.page_of(&place.runs[1]))).await;
            chrome.run("document.getElementById('tool-log-x')?.click()").await;
            // Where nothing can be kept, a choice lives as long as the page, and its link carries it on.
            chrome.goto(&place.file("runs/index.html")).await;
            chrome.until("the runs", "document.querySelectorAll('#runs .tick').length > 5").await;
            // What an earlier round could keep is ticked already.
            chrome
                .run("const box = document.querySelectorAll('#runs .tick')[1]; box.checked || box.click()")
                .await;
            let carried = "!document.getElementById('chosen').hidden
                && document.querySelector('#chosen a').href.includes(document.querySelectorAll('#runs .tick')[1].dataset.run)";
            chrome.until(&format!("{what}: the choice"), carried).await;
            is_whole(chrome, &format!("{what}, used")).await;
            chrome
                .devtools("Page.removeScriptToEvaluateOnNewDocument", json!({ "identifier": script }))
                .await;
        }

        // An address of a megabyte and long ones of our own words, set within the page: the driver would not send it.
        let addresses = [
            "'#' + 'x'.repeat(1e6)",
            "'#?' + 'find=a+b+'.repeat(1e4)",
            "'#?find=' + 'a+'.repeat(5e4)",
            "'#?columns=' + 'a;'.repeat(5e4)",
            "'#?hide=' + 'a%2Fb&hide='.repeat(1e4)",
            "'#runs=' + 'a%252Fb,'.repeat(1e4)",
            "'#?x=%E0%A4%A&zoom=nan,inf&time=1e999,-1e999&smooth=9&logy=%FF&since=__proto__&page=-1e308&sort=constructor'",
            "'#%E0%A4%A'",
            "'#runs=%E0%A4%A,../../etc/passwd,%252e%252e/x,a/b/c'",
        ];
        for page in &pages {
            chrome.goto("about:blank").await;
            chrome.goto(&place.file(page)).await;
            for address in addresses {
                chrome.run(&format!("location.hash = {address}")).await;
                chrome.until("two frames", "(window.frames2 = (window.frames2 || 0) + 1) > 1").await;
            }
            is_whole(chrome, &format!("{page} after every address")).await;
        }

        // Words of a megabyte, one part unlike the other, each on a page that reads it.
        let all = |word: &str| {
            format!("'#?' + Array.from({{ length: 7e4 }}, (_, at) => `{word}${{at}}`).join('&')")
        };
        for (page, address) in [
            ("runs/index.html", "'#?sort=' + '-last heard'.repeat(9e4)".to_owned()),
            (&run, all("hide=a%2Fb")),
            (&run, all("logy=chart")),
            ("experiments/depth/index.html", all("brush=x:1,")),
            ("index.html", "'#?since=' + '1'.repeat(1e6)".to_owned()),
        ] {
            chrome.goto("about:blank").await;
            chrome.goto(&place.file(page)).await;
            chrome.run(&format!("location.hash = {address}")).await;
            chrome.until("two frames", "(window.frames2 = (window.frames2 || 0) + 1) > 1").await;
            is_whole(chrome, page).await;
            if address.contains("length: 7e4") {
                let told = "[...document.querySelectorAll('#tools, #parallel figcaption')]
                    .some(({ textContent }) => textContent.includes('Of 70,000 words '))";
                chrome.until(&format!("{page}: what is taken"), told).await;
            }
        }

        // What of a long word is taken, the page says; with that it is as usable as ever.
        let said = async |page: &str, hash: &str, sentence: &str| {
            chrome.goto("about:blank").await;
            chrome.goto(&place.file(page)).await;
            chrome.run(&format!("location.hash = {hash}")).await;
            let seen = format!("document.querySelector('main').textContent.includes('{sentence}')");
            chrome.until(&format!("{page}: {sentence}"), &seen).await;
        };
        let listed = "[...document.querySelectorAll('#runs tbody a[title]')].length > 5";
        let of_find = "Of “find” in the address the first 500 characters are taken, of 1,020,000.";
        said("runs/index.html", "'#?find=' + 'depth '.repeat(17e4)", of_find).await;
        chrome.until("runs", listed).await;
        said(
            "runs/index.html",
            "'#?columns=run;' + Array.from({ length: 14e4 }, (_, at) => `c${at}`).join(';')",
            "Of 140,001 columns in the address the first 60 are taken.",
        )
        .await;
        chrome.until("runs", listed).await;
        chrome.run("document.querySelector('#runs th button').click()").await;
        chrome
            .until(
                "the sentence gone",
                "!document.querySelector('#found').textContent.includes('in the address')",
            )
            .await;
        said("experiments/depth/index.html", "'#?find=' + 'depth '.repeat(17e4)", of_find).await;
        said(
            "models.html",
            "'#?text=' + 'depth '.repeat(17e4)",
            "Of “text” in the address the first 500 characters are taken",
        )
        .await;
        said(
            "compare.html",
            "'#runs=' + Array.from({ length: 12e4 }, (_, at) => `a${at}`).join(',')",
            "119,995 more in the address name none.",
        )
        .await;
        assert!(chrome.number("document.querySelectorAll('.say.bad p').length").await < 10.0);
        let many =
            format!("'#runs={key},' + Array.from({{ length: 9e4 }}, (_, at) => `a%2Fb${{at}}`).join(',')");
        said("compare.html", &many, "Of 90,001 runs the first 60 are compared.").await;
        chrome.until("the one that is there", "document.querySelector('#beside') !== null").await;
    });
}
