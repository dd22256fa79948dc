//! People who act on pages: signing in, the buttons of a role, and what they leave in a run's directory.

mod form;
mod many;

use overnight::run_dir::records::{Ask, Request};
use overnight::run_dir::{RunDir, Workspace, read};
use overnight::serve::control::person::{token, token_hash};
use serde_json::json;

use crate::access::{axe, violations};
use crate::chrome::{Chrome, Scripts, with_browser};
use crate::hands::Button;
use crate::live::IS_LIVE;
use crate::made_up::Ending;
use crate::place::{Place, Serving};

const ROLES: [&str; 3] = ["viewer", "assistant", "owner"];
const BUTTONS: &str = "[...document.querySelectorAll('#acts button')].map((button) => button.textContent)";
const NOTHING: [&str; 0] = [];
/// What no page may take for more than words.
const HOSTILE: &str = r#"<img src=x onerror="window.ran = 1"> & "quotes" </p>"#;

/// Lets people act on a workspace, one of each role; their tokens.
fn let_people_act(place: &Place, theme: &str) -> [String; 3] {
    let tokens = [(); 3].map(|()| token().unwrap());
    let person = |(role, token): (&str, &String)| {
        let hash = token_hash(token);
        format!("[[server.people]]\nname = \"the-{role}\"\nrole = \"{role}\"\ntoken_hash = \"{hash}\"\n")
    };
    let people: String = ROLES.into_iter().zip(&tokens).map(person).collect();
    let settings = format!("[report]\ntheme = \"{theme}\"\n[server]\ncontrol = true\n{people}");
    std::fs::write(place.path().join("overnight.toml"), settings).unwrap();
    tokens
}

/// Everything that was asked of a run, in its order.
fn asked(run: &RunDir) -> Vec<Request> {
    read::lines(&run.requests()).map(|lines| lines.records).unwrap_or_default()
}

fn asks(run: &RunDir) -> Vec<Ask> {
    asked(run).into_iter().map(|request| request.ask).collect()
}

impl Chrome {
    async fn press_button(&self, selector: &str) {
        self.until(selector, &format!("!!document.querySelector(`{selector}`)")).await;
        self.run(&format!("const one = document.querySelector(`{selector}`); one.focus(); one.click()"))
            .await;
    }

    /// Writes into a field as somebody who types.
    async fn fill(&self, id: &str, words: &str) {
        let words = json!(words);
        self.until(id, &format!("!!document.getElementById('{id}')")).await;
        self.run(&format!(
            "const field = document.getElementById('{id}'); field.value = {words};
            field.dispatchEvent(new Event('input', {{ bubbles: true }}))"
        ))
        .await;
    }

    async fn send_dialog(&self, id: &str) {
        self.run(&format!("document.querySelector('#{id} form').requestSubmit()")).await;
    }

    async fn sign_in(&self, token: &str) {
        self.press_button("#sign-in").await;
        self.fill("token", token).await;
        self.send_dialog("signing").await;
        self.until("the way out", "!!document.getElementById('sign-out')").await;
        self.until("no dialog", "document.getElementById('signing') === null").await;
    }

    async fn sign_out(&self) {
        self.press_button("#sign-out").await;
        self.until("the way in", "!!document.getElementById('sign-in')").await;
    }

    /// Waits until the page that is open shows its run in this state.
    async fn until_state(&self, word: &str) {
        self.until(word, &format!("document.querySelector('[data-acts] .st').textContent === '{word}'"))
            .await;
    }

    async fn is_well(&self, axe: Option<&str>, what: &str) {
        let Some(axe) = axe else { return };
        for (width, scheme) in [(390, "dark"), (1440, "light")] {
            self.look(width, scheme).await;
            let found = violations(self, axe).await;
            assert!(found.is_empty(), "{what}, {width} wide, {scheme}: {found:#?}");
            let beyond = self.number("document.documentElement.scrollWidth - innerWidth").await;
            assert!(beyond < 1.0, "{what}, {width} wide, is {beyond} pixels too wide");
        }
    }
}

#[test]
fn where_nobody_may_act_no_page_asks_for_anything_more() {
    with_browser(Scripts::On, async |chrome| {
        let place = Place::of(2, Ending::AllFinished);
        place.build();
        let _alive = place.revive(0);
        let serving = Serving::new(&place);
        let page = place.page_of(&place.runs[0]);
        chrome.goto(&serving.page(&page)).await;
        chrome.until("the connection", IS_LIVE).await;
        place.add_row(0, 2990, 0.777, None);
        // What the first event says has been heard by then.
        let new_row = "document.querySelector('#chart-loss desc').textContent.includes('0.7770')";
        chrome.until("the new row", new_row).await;
        chrome.goto(&place.file(&page)).await;
        chrome.until("the page", "!!document.getElementById('tools')").await;
        assert!(chrome.is("document.querySelector('#who, .acts, dialog') === null").await);
        let asked = chrome.requests().await;
        assert!(asked.iter().any(|address| address.ends_with("/events")), "{asked:?}");
        let more = asked.iter().filter(|address| address.contains("control") || address.contains("/api/"));
        assert_eq!(more.collect::<Vec<_>>(), Vec::<&String>::new());
    });
}

#[test]
fn who_signs_in_has_the_buttons_of_the_role_and_nobody_else_any() {
    let axe = axe();
    with_browser(Scripts::On, async |chrome| {
        let place = Place::of(4, Ending::Mixed);
        let tokens = let_people_act(&place, "default");
        let stray = Workspace::new(place.path()).run("depth", "<b>by hand & \"quoted\"");
        std::fs::create_dir_all(stray.path()).unwrap();
        place.build();
        let serving = Serving::new(&place);
        let waiting = serving.page(&place.page_of(&place.runs[3]));
        chrome.goto(&waiting).await;
        chrome.until("the way in", "!!document.getElementById('sign-in')").await;
        chrome.until_state("waiting").await;
        assert_eq!(chrome.texts(BUTTONS).await, NOTHING);

        // Nobody has this token: it is said where it was asked for, and the dialog stays.
        chrome.press_button("#sign-in").await;
        assert!(chrome.is("document.activeElement.id === 'token'").await);
        chrome.fill("token", "not a token of anybody").await;
        chrome.send_dialog("signing").await;
        let refused = "document.querySelector('#signing .refused')?.textContent.length > 5";
        chrome.until("that nobody is known", refused).await;
        chrome.is_well(axe.as_deref(), "the dialog to sign in").await;
        chrome.key("Escape", false).await;
        chrome.until("no dialog", "document.getElementById('signing') === null").await;
        chrome.until("the focus back", "document.activeElement.id === 'sign-in'").await;

        let of_role: [&[&str]; 3] = [
            &[],
            &["Pause", "Note", "Tags", "Queue one like this"],
            &["Pause", "Stop", "Priority", "Note", "Tags", "Queue one like this"],
        ];
        for ((role, token), wanted) in ROLES.into_iter().zip(&tokens).zip(of_role) {
            chrome.sign_in(token).await;
            let who = chrome.text("document.getElementById('who').textContent").await;
            assert!(who.starts_with(&format!("the-{role}, {role}")), "{who}");
            assert_eq!(chrome.texts(BUTTONS).await, wanted, "{role}");
            // It is known again, and no script knows the token.
            chrome.goto(&waiting).await;
            chrome.until("the way out", "!!document.getElementById('sign-out')").await;
            let kept = "document.cookie + JSON.stringify([{ ...localStorage }, { ...sessionStorage }])";
            assert!(!chrome.text(kept).await.contains(&token[..16]), "{role}");
            chrome.goto(&serving.page("index.html")).await;
            let can_queue = "!!document.getElementById('queue-new')";
            if role == "viewer" {
                chrome.until("the way out", "!!document.getElementById('sign-out')").await;
                assert!(!chrome.is(can_queue).await);
            } else {
                chrome.until("the way to queue", can_queue).await;
            }
            chrome.goto(&waiting).await;
            if role != "owner" {
                chrome.sign_out().await;
                chrome.until("no buttons", "document.getElementById('acts') === null").await;
            }
        }
        // A tab that hears of people through another one follows it.
        let first = chrome.tab().await;
        chrome.new_window().await;
        chrome.goto(&waiting).await;
        chrome.until("the buttons", "!!document.getElementById('act-stop')").await;
        chrome.sign_out().await;
        chrome.close_tab().await;
        chrome.speak_to(&first).await;
        chrome.until("the way in", "!!document.getElementById('sign-in')").await;
        assert_eq!(chrome.texts(BUTTONS).await, NOTHING);
        chrome.sign_in(&tokens[2]).await;
        // The log and the checkpoints are taken away by their run and step.
        chrome.goto(&serving.page(&place.page_of(&place.runs[0]))).await;
        chrome
            .until("the links", "!!document.querySelector('#acts a') && !!document.querySelector('.take a')")
            .await;
        chrome
            .run(
                "window.taken = []; for (const link of document.querySelectorAll('#acts a, .take a'))
            fetch(link.href, { method: 'HEAD' }).then(({ status }) => window.taken.push(status))",
            )
            .await;
        chrome
            .until("the files", "window.taken.length > 1 && window.taken.every((status) => status === 200)")
            .await;
        // A name is words.
        chrome.goto(&serving.page("runs/depth/%3Cb%3Eby%20hand%20&%20%22quoted%22/index.html")).await;
        chrome.press_button("#act-clean").await;
        let named = "[...document.querySelectorAll('#ask .mono, #acts-said')].some((one) => one.textContent.length > 5)";
        chrome.until("what the server says of it", named).await;
        assert!(chrome.is("document.querySelector('#ask b, #acts b') === null").await);
        // What can be asked follows from the state.
        for (number, wanted) in [
            (0, vec!["Note", "Tags", "Delete", "Queue one like this"]),
            (1, vec!["Retry", "Priority", "Note", "Tags", "Delete", "Queue one like this"]),
        ] {
            chrome.goto(&serving.page(&place.page_of(&place.runs[number]))).await;
            chrome.until("buttons", "!!document.querySelector('#acts button')").await;
            assert_eq!(chrome.texts(BUTTONS).await, wanted, "run {number}");
        }
        // Nothing of it is printed.
        chrome.devtools("Emulation.setEmulatedMedia", json!({ "media": "print" })).await;
        let seen = "[...document.querySelectorAll('#who, .acts')].filter((one) => getComputedStyle(one).display !== 'none').length";
        assert_eq!(chrome.number(seen).await, 0.0);
    });
}

#[test]
fn each_button_asks_once_and_the_page_follows() {
    let axe = axe();
    with_browser(Scripts::On, async |chrome| {
        let place = Place::of(5, Ending::Mixed);
        let [.., owner] = let_people_act(&place, "contrast");
        place.build();
        let serving = Serving::new(&place);
        let run = &place.runs[4];
        let page = serving.page(&place.page_of(run));
        chrome.goto(&page).await;
        chrome.sign_in(&owner).await;

        // By keyboard: the button goes, and the focus stays among its neighbors.
        chrome.until("the buttons", "!!document.getElementById('act-pause')").await;
        chrome.run("document.getElementById('act-pause').focus()").await;
        chrome.key("Enter", false).await;
        chrome.until_state("paused").await;
        let told = "document.querySelector('#told[role=status]').textContent.includes('was asked to pause')";
        chrome.until("what was asked", told).await;
        chrome.until("the focus", "document.activeElement.closest('#acts') !== null").await;
        // A double click means one.
        let resume = chrome.middle("document.getElementById('act-resume')").await;
        chrome.click(resume, Button::Left, 2).await;
        chrome.until_state("waiting").await;
        assert_eq!(asks(run), [Ask::Pause, Ask::Resume]);
        assert!(asked(run).iter().all(|request| request.who == "web:the-owner"));

        chrome.press_button("#act-stop").await;
        chrome
            .until("the question", "document.querySelector('#ask p').textContent.includes('checkpoint')")
            .await;
        assert_eq!(chrome.text("document.activeElement.textContent").await, "Cancel");
        chrome.is_well(axe.as_deref(), "the question about stopping").await;
        assert_eq!(asks(run).len(), 2, "nothing is asked before the answer");
        chrome.send_dialog("ask").await;
        chrome.until_state("stopped").await;
        chrome.press_button("#act-priority").await;
        chrome.fill("priority", "a lot").await;
        chrome.send_dialog("ask").await;
        chrome
            .until("why not", "document.querySelector('#ask .refused').textContent.includes('whole number')")
            .await;
        chrome.fill("priority", "7").await;
        chrome.send_dialog("ask").await;
        chrome.until("no dialog", "document.getElementById('ask') === null").await;
        chrome.press_button("#act-note").await;
        chrome.fill("note", HOSTILE).await;
        chrome.send_dialog("ask").await;
        chrome.until("no dialog", "document.getElementById('ask') === null").await;
        chrome.press_button("#act-note").await;
        chrome
            .until("the note", "document.querySelector('#ask .notes')?.textContent.includes('onerror')")
            .await;
        chrome.key("Escape", false).await;
        chrome.until("no dialog", "document.getElementById('ask') === null").await;
        // What several words come to is shown before they are sent.
        chrome.press_button("#act-tag").await;
        chrome.fill("tag", &format!("to do, {HOSTILE}")).await;
        let preview = "[...document.querySelectorAll('#ask .preview .tag')].map((tag) => tag.textContent)";
        assert_eq!(chrome.texts(preview).await, ["to do", HOSTILE]);
        chrome.is_well(axe.as_deref(), "the question about tags").await;
        chrome.send_dialog("ask").await;
        chrome.until("no dialog", "document.getElementById('ask') === null").await;
        chrome.press_button("#act-tag").await;
        chrome.press_button("#ask [aria-label^='remove <img']").await;
        chrome
            .until("no such tag", "!document.querySelector('#ask .tags').textContent.includes('<img')")
            .await;
        chrome.key("Escape", false).await;
        chrome.press_button("#act-retry").await;
        chrome.until("the steps", "document.getElementById('from-step')?.options.length > 1").await;
        chrome.run("document.getElementById('from-step').value = '0'").await;
        chrome.send_dialog("ask").await;
        chrome.until_state("waiting").await;
        let note =
            "[...document.querySelectorAll('.note')].some((note) => note.textContent.includes('onerror'))";
        chrome.until("the note on the page", note).await;
        assert!(!chrome.is("'ran' in window").await);
        let words: Vec<Ask> = asks(run).split_off(2);
        assert_eq!(words.first(), Some(&Ask::Stop));
        assert_eq!(words[1], Ask::Priority { priority: 7 });
        assert_eq!(words[2], Ask::Note { text: HOSTILE.into() });
        assert_eq!(words[3], Ask::Tag { tag: "to do".into(), remove: false });
        assert_eq!(words[4], Ask::Tag { tag: HOSTILE.into(), remove: false });
        assert_eq!(words.last(), Some(&Ask::Retry { from_step: Some(0) }));
        assert_eq!(words.len(), 7, "{words:?}");

        // A refusal is told where it was asked, with the server's words; one that is not known signs in.
        chrome.run("window.real = window.fetch; window.fetch = async () => new Response(JSON.stringify(
            { detail: 'too many changes', hint: 'try again in 2 seconds' }), { status: 429, headers: { 'Retry-After': '2' } })").await;
        chrome.press_button("#act-pause").await;
        let said = "document.getElementById('acts-said').textContent === 'Too many changes (try again in 2 seconds).'";
        chrome.until("when", said).await;
        chrome.run("window.fetch = window.real").await;
        chrome.devtools("Network.clearBrowserCookies", json!({})).await;
        chrome.press_button("#act-pause").await;
        chrome.until("the way in", "!!document.querySelector('#signing[open]')").await;
        chrome.fill("token", &owner).await;
        chrome.send_dialog("signing").await;
        chrome.until("the way out", "!!document.getElementById('sign-out')").await;
        assert_eq!(asks(run).len(), 9);

        many::several(chrome, &place, &serving).await;
        many::drain(chrome, &place, &serving).await;

        // What is deleted is named with its size first, and is gone then.
        let run = &place.runs[1];
        chrome.goto(&serving.page(&place.page_of(run))).await;
        chrome.press_button("#act-clean").await;
        let size = "/Delete 1 run, .*B\\?/.test(document.getElementById('ask-title')?.textContent)";
        chrome.until("its size", size).await;
        assert!(run.path().exists());
        chrome.send_dialog("ask").await;
        chrome
            .until("the end", "document.querySelector('#ask .asked').textContent.includes('deleted')")
            .await;
        assert!(!run.path().exists());
        chrome.key("Escape", false).await;
        chrome
            .until("what was done", "document.getElementById('acts-said').textContent === 'Deleted 1 run.'")
            .await;
    });
}
