//! "Queue an experiment": from fields to a file, from a file to runs on disk and on the page.

use overnight::run_dir::{Workspace, scan};

use super::{NOTHING, let_people_act};
use crate::access::axe;
use crate::chrome::{Chrome, Scripts, with_browser};
use crate::hands::Button;
use crate::made_up::Ending;
use crate::place::{Place, Serving};

const FILE: &str = "document.getElementById('toml').value";
const CHECKED: &str = "document.getElementById('checked').textContent";

/// What is written into a field, and the line that it comes to.
const LITERALS: &str = r#"(() => {
    const { toml } = overnight.control;
    const line = (field, text, isVaried = false, more = {}) => {
        const table = { path: ['t'], kinds: null, kind: null, isRequired: false, fields: [{ path: ['t', 'x'], key: 'x', kind: null, value: null, ...field }] };
        return toml([table], () => ({ text, isVaried, ...more }), () => null).trim().split('\n').slice(1).join(' | ');
    };
    return [
        line({ type: 'number' }, ' 3e-4 '),
        line({ type: 'number' }, '3e-4; rm'),
        line({ type: 'number' }, '1e-3, 3e-4'),
        line({ type: 'number', value: 0.001 }, '1e-3'),
        line({ type: 'string' }, 'a "quoted" \\ word\u007f\n<b>'),
        line({ type: 'string', value: 'char' }, 'char'),
        line({ type: 'string' }, 'char, byte', true),
        line({ type: 'boolean', value: false }, 'true'),
        line({ type: 'either' }, '250'),
        line({ type: 'either' }, 'epoch'),
        line({ type: 'list', of: 'number', value: [256, 128] }, '256,128'),
        line({ type: 'list', of: 'number' }, '64'),
        line({ type: 'list', of: 'number' }, '256; 128, 64', true),
        line({ type: 'list', of: 'string' }, 'ROMEO: a, b\n\nsecond'),
        line({ type: 'rules', parts: [{ key: 'when', type: 'string', isRequired: true, value: null }, { key: 'factor', type: 'number', value: null }] }, '', false,
            { rules: [{ when: 'val/loss > 5', factor: '' }, { when: '', factor: ' ' }, { when: '"', factor: '0.5' }] }),
        line({ type: 'number' }, '', false, { range: { parts: [{ key: 'min', type: 'number', isRequired: true, value: null }, { key: 'max', type: 'number', isRequired: true, value: null },
            { key: 'distribution', type: 'string', isRequired: true, value: null }], texts: { min: '1e-4', max: 'x', distribution: 'uniform' } } }),
        line({ type: 'number' }, '  '),
    ]; })()"#;

async fn until_checked(chrome: &Chrome, what: &str) {
    chrome.until(what, &format!("{CHECKED}.includes('{what}')")).await;
}

#[test]
fn an_experiment_is_written_by_a_form_checked_and_queued() {
    let axe = axe();
    with_browser(Scripts::On, async |chrome| {
        let place = Place::of(2, Ending::Mixed);
        let [_, assistant, _] = let_people_act(&place, "paper");
        place.build();
        let serving = Serving::new(&place);
        chrome.goto(&serving.page("index.html")).await;
        chrome.sign_in(&assistant).await;
        chrome.press_button("#queue-new").await;
        chrome.until("the form", "!!document.querySelector('#compose[open]')").await;
        assert_eq!(
            chrome.texts(LITERALS).await,
            [
                "x = 3e-4",
                r#"x = "3e-4; rm""#,
                r#""t.x" = [1e-3, 3e-4]"#,
                "",
                r#"x = "a \"quoted\" \\ word\u007f\n<b>""#,
                "",
                r#""t.x" = ["char", "byte"]"#,
                "x = true",
                "x = 250",
                r#"x = "epoch""#,
                "",
                "x = [64]",
                r#""t.x" = [[256], [128, 64]]"#,
                r#"x = ["ROMEO: a, b", "second"]"#,
                r#"when = "val/loss > 5" |  | [[t.x]] | when = "\"" | factor = 0.5"#,
                r#""t.x" = { min = 1e-4, max = "x", distribution = "uniform" }"#,
                "",
            ]
        );

        // What does not go together is told beside the kind.
        chrome.fill("kind-data", "shapes").await;
        chrome.send_dialog("compose").await;
        let mistake =
            "[...document.querySelectorAll('#compose .refused')].some((one) => one.textContent.length > 5)";
        chrome.until("the mistake", mistake).await;

        // Only what is set stands in the file, and a mistake stands beside its field.
        chrome.fill("kind-data", "shapes").await;
        chrome.fill("kind-model", "mlp").await;
        chrome.fill("set-shapes-data-count", "300").await;
        chrome.fill("set-mlp-model-dropout", "2").await;
        chrome.fill("set-train-steps", "20").await;
        chrome.fill("set-adamw-train-optimizer-lr", "1e-3, 3e-4").await;
        let wanted = "[data]\nkind = \"shapes\"\ncount = 300\n\n[model]\nkind = \"mlp\"\ndropout = 2\n\n\
            [train]\nsteps = 20\n\n[sweep.values]\n\"train.optimizer.lr\" = [1e-3, 3e-4]\n";
        assert_eq!(chrome.text(FILE).await, wanted);
        chrome.run("document.getElementById('set-train-steps').focus()").await;
        chrome.key("Enter", false).await;
        let mistake = "document.getElementById('set-mlp-model-dropout-wrong').textContent.length > 5";
        chrome.until("the mistake", mistake).await;
        let field = "document.activeElement.id === 'set-mlp-model-dropout' && document.activeElement.ariaInvalid === 'true'";
        assert!(chrome.is(field).await);
        assert!(chrome.is("document.getElementById('queue-it').disabled").await);
        chrome.is_well(axe.as_deref(), "the form with a mistake").await;

        // A good check names the runs; another word means another check.
        chrome.fill("set-mlp-model-dropout", "0.1").await;
        chrome.fill("name", "from-the-web").await;
        chrome.send_dialog("compose").await;
        until_checked(chrome, "This makes 2 runs of from-the-web").await;
        chrome.is_well(axe.as_deref(), "the form with its runs").await;
        chrome.fill("set-train-steps", "30").await;
        assert!(chrome.is("document.getElementById('queue-it').disabled").await);
        chrome.send_dialog("compose").await;
        chrome.until("a good check", "!document.getElementById('queue-it').disabled").await;
        let workspace = Workspace::new(place.path());
        let queued = || scan::runs(&workspace).into_iter().filter(|run| run.experiment() == "from-the-web");
        assert_eq!(queued().count(), 0, "a check queues nothing");
        let file = chrome.text(FILE).await;
        let button = chrome.middle("document.getElementById('queue-it')").await;
        chrome.click(button, Button::Left, 2).await;
        until_checked(chrome, "Queued 2 runs of from-the-web").await;
        assert_eq!(queued().count(), 2);
        let kept = std::fs::read_to_string(place.path().join("experiments/from-the-web.toml")).unwrap();
        assert_eq!(kept, file);
        chrome.key("Escape", false).await;
        chrome
            .until(
                "the runs on the page",
                "document.getElementById('main').textContent.includes('from-the-web')",
            )
            .await;

        // A range to draw from and rules are fields too; each mistake stands beside its own.
        chrome.press_button("#queue-new").await;
        chrome.until("the form", "!!document.querySelector('#compose[open]')").await;
        let several = ".setting:not([hidden]) [aria-label='several values of model.dropout']";
        chrome.press_button(several).await;
        chrome.fill("set-mlp-model-dropout-how", "range").await;
        assert_eq!(chrome.text("document.getElementById('set-sweep-method').value").await, "random");
        chrome.fill("set-mlp-model-dropout-min", "0.5").await;
        chrome.fill("set-mlp-model-dropout-max", "0.1").await;
        chrome.press_button("#set-alerts-more").await;
        chrome.press_button("#set-alerts-more").await;
        chrome.fill("set-alerts-2-when", "train/loss >> 5").await;
        chrome.fill("set-alerts-2-do", "stop").await;
        let drawn = "\"model.dropout\" = { min = 0.5, max = 0.1, distribution = \"uniform\" }\n\
            \"train.optimizer.lr\" = [1e-3, 3e-4]\n\n\
            [[alerts]]\nwhen = \"train/loss >> 5\"\ndo = \"stop\"\n";
        let text = chrome.text(FILE).await;
        assert!(text.ends_with(drawn) && text.contains("method = \"random\"\ndraws = 20"), "{text}");
        chrome.send_dialog("compose").await;
        let wrong =
            "[...document.querySelectorAll('#compose [aria-invalid]')].map((one) => one.id).join(' ')";
        chrome.until("the mistakes", &format!("{wrong} !== ''")).await;
        assert_eq!(chrome.text(wrong).await, "set-alerts-2-when set-mlp-model-dropout-min");
        chrome.is_well(axe.as_deref(), "the form with rules").await;
        chrome.fill("set-mlp-model-dropout-min", "0.05").await;
        chrome.fill("set-alerts-2-when", "train/loss > 5").await;
        chrome.fill("name", "drawn").await;
        chrome.send_dialog("compose").await;
        until_checked(chrome, "This makes 20 runs").await;
        chrome.press_button("[aria-label='leave out alert 2']").await;
        chrome.press_button(several).await;
        chrome.fill("set-sweep-method", "").await;
        chrome.fill("set-sweep-draws", "").await;
        chrome.fill("name", "from-the-web").await;
        chrome.key("Escape", false).await;

        // The text counts once it was edited, and the form is where it was.
        chrome.press_button("#queue-new").await;
        chrome.until("the form", "!!document.querySelector('#compose[open]')").await;
        assert_eq!(chrome.text(FILE).await, file);
        chrome.fill("toml", "[data]\nkind = \"shapes\"\n[model]\nkind = \"mlp\"\nlayerz = 3\n<img src=x onerror='window.ran = 1'>").await;
        chrome.send_dialog("compose").await;
        chrome.until("the line", "/line \\d/.test(document.querySelector('#checked li')?.textContent)").await;
        chrome.is_well(axe.as_deref(), "the edited text").await;
        assert!(!chrome.is("'ran' in window").await);
        chrome.press_button("#compose .caption button").await;
        assert_eq!(chrome.text(FILE).await, file);

        // One like another: its settings, as far as they differ.
        chrome.goto(&serving.page(&place.page_of(&place.runs[0]))).await;
        chrome.press_button("#queue-like").await;
        chrome.until("the form", "!!document.querySelector('#compose[open]')").await;
        let text = chrome.text(FILE).await;
        assert!(text.contains("kind = \"gpt\"") && text.contains("tags = [\"made-up\"]"), "{text}");
        chrome.until("a field of it", "document.getElementById('set-train-steps').value === '3000'").await;
        let complaints = chrome.complaints().await;
        let others = complaints.iter().filter(|said| !said.contains("422")).collect::<Vec<_>>();
        assert_eq!(others, NOTHING);
    });
}
