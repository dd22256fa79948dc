//! The right button, and what it saves.

use super::{WIDTHS, experiment, set, settled};
use crate::chrome::{Chrome, Scripts, with_browser};
use crate::hands::Button;
use crate::place::Place;

const CHART: &str = "chart-val-loss";

/// Opens the menu by the right button and clicks an entry; what is offered, as name and data address.
async fn saved(chrome: &Chrome, entry: &str) -> (String, String) {
    chrome
        .run(
            "window.offered = null;
             HTMLAnchorElement.prototype.click = function () {
                 const name = this.download;
                 fetch(this.href).then((answer) => answer.blob()).then((blob) => {
                     const reader = new FileReader();
                     reader.onload = () => { window.offered = [name, reader.result]; };
                     reader.readAsDataURL(blob);
                 });
             };",
        )
        .await;
    let place = chrome.chart(CHART).await;
    chrome.click(place(0.3, 0.4), Button::Right, 1).await;
    chrome.until("the menu", "!!document.getElementById('menu')").await;
    let item = format!(
        "[...document.querySelectorAll('#menu button')].find((item) => item.textContent.includes('{entry}'))"
    );
    chrome.click(chrome.middle(&item).await, Button::Left, 1).await;
    chrome.until("a file", "window.offered !== null").await;
    (chrome.text("window.offered[0]").await, chrome.text("window.offered[1]").await)
}

fn bytes(address: &str) -> Vec<u8> {
    let (_, data) = address.split_once(";base64,").unwrap();
    let value = |byte: u8| match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' => 62,
        _ => 63,
    };
    let digits: Vec<u8> = data.bytes().filter(|byte| *byte != b'=').map(value).collect();
    let four = |group: &[u8]| {
        let bits =
            group.iter().fold(0u32, |bits, digit| bits << 6 | u32::from(*digit)) << (6 * (4 - group.len()));
        bits.to_be_bytes()[1..group.len()].to_vec()
    };
    digits.chunks(4).flat_map(four).collect()
}

fn text(address: &str) -> String {
    String::from_utf8(bytes(address)).unwrap()
}

#[test]
fn the_right_button_saves_what_is_seen_as_csv_svg_png_and_tikz() {
    with_browser(Scripts::On, async |chrome| {
        for width in WIDTHS {
            let _place = experiment(chrome, 3, width).await;
            // Zoomed, one line hidden, averaged: just that is saved.
            chrome.run("overnight.setView({ zoom: { low: 1500, high: 3000 }, hidden: new Set([overnight.chartOf(document.getElementById('chart-val-loss')).series[0].key]) })").await;
            settled(chrome).await;
            let (name, csv) = saved(chrome, "CSV").await;
            assert_eq!(name, "chart-val-loss-depth.csv");
            let csv = text(&csv);
            let rows: Vec<&str> = csv.lines().collect();
            assert_eq!(rows[0], "line,step,value,average");
            assert_eq!(rows.len(), 1 + 2 * 11, "two lines, a value at every 150th step from 1,500 on: {csv}");
            assert!(rows[1].split(',').nth(1) == Some("1500"), "{csv}");

            set(chrome, "tool-smooth", "20").await;
            let averaged = text(&saved(chrome, "CSV").await.1);
            assert_eq!(averaged.lines().count(), 1 + 2 * 22, "values and their average");

            let (name, svg) = saved(chrome, "SVG").await;
            assert_eq!(name, "chart-val-loss-depth.svg");
            let svg = text(&svg);
            assert!(svg.starts_with("<svg xmlns=") && svg.contains("Validation loss · depth"), "{svg}");
            assert_eq!(svg.matches("stroke-opacity=\"1\"").count(), 2, "{svg}");
            assert_eq!(svg.matches("stroke-opacity=\"0.28\"").count(), 2, "the values behind their average");
            assert!(
                !svg.contains("var(") && !svg.contains("class=") && !svg.contains("NaN"),
                "stands alone: {svg}"
            );
            let well_formed = format!(
                "new DOMParser().parseFromString({}, 'image/svg+xml').querySelector('parsererror') === null",
                serde_json::json!(svg)
            );
            assert!(chrome.is(&well_formed).await);

            let (name, png) = saved(chrome, "PNG").await;
            assert_eq!(name, "chart-val-loss-depth.png");
            let png = bytes(&png);
            let mut reader = png::Decoder::new(std::io::Cursor::new(png)).read_info().unwrap();
            let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
            let picture = reader.next_frame(&mut pixels).unwrap();
            assert!(picture.width > 600, "{} wide", picture.width);
            let colors: std::collections::BTreeSet<&[u8]> = pixels.chunks(4).collect();
            assert!(colors.len() > 20, "not empty: {} colors", colors.len());

            let (name, tikz) = saved(chrome, "TikZ").await;
            assert_eq!(name, "chart-val-loss-depth.tex");
            let tikz = text(&tikz);
            assert_eq!(tikz.matches("\\addplot[").count(), 4);
            assert_eq!(tikz.matches("\\addlegendentry{").count(), 2);
            assert!(tikz.contains("xmin=1500, xmax=3000") && tikz.contains("\\end{tikzpicture}"), "{tikz}");
            let braces = |sign: char| tikz.chars().filter(|one| *one == sign).count();
            assert_eq!(braces('{'), braces('}'));
            assert!(chrome.is("!document.getElementById('menu')").await, "the menu is gone");
        }
    });
}

#[test]
fn names_with_signs_of_other_languages_stay_text_in_every_file() {
    with_browser(Scripts::On, async |chrome| {
        let place = Place::wordy();
        place.build();
        let page =
            place.pages().into_iter().find(|page| page.starts_with("experiments/a-comparison")).unwrap();
        chrome.goto(&place.file(&page)).await;
        let model = format!("overnight.modelNow(document.getElementById('{CHART}'))");
        chrome.run(&format!("{model}.lines[0].series.label = '=cmd|\"<b>&\\\\_%$#{{~^,\\u0001'")).await;
        let svg = chrome.text(&format!("overnight.toSvg({model})")).await;
        assert!(svg.contains("&#60;b&#62;&#38;") && !svg.contains("<b>") && !svg.contains('\u{1}'), "{svg}");
        let csv = chrome.text(&format!("overnight.toCsv({model})")).await;
        assert!(csv.contains("\"'=cmd|\"\"<b>"), "no formula, quoted: {csv}");
        let tikz = chrome.text(&format!("overnight.toTikz({model})")).await;
        assert!(
            tikz.contains(
                r"\textless{}b\textgreater{}\&\textbackslash{}\_\%\$\#\{\textasciitilde{}\textasciicircum{}"
            ),
            "{tikz}"
        );
    });
}
