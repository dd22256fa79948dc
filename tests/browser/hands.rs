//! A mouse, a keyboard and fingers, by the DevTools protocol: what a person does to a chart.

use serde_json::{Value, json};

use crate::chrome::Chrome;

/// A place of the window in CSS pixels.
pub type Place = (f64, f64);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Button {
    Left,
    Right,
}

impl Chrome {
    /// Scrolls a figure's chart to the middle of the window and says where its parts are: from 0 at the
    /// left and the top to 1 at the right and the bottom.
    pub async fn chart(&self, figure: &str) -> impl Fn(f64, f64) -> Place + use<> {
        let chart = format!("document.querySelector('#{figure} svg.chart')");
        self.run(&format!("{chart}.scrollIntoView({{ block: 'center' }})")).await;
        let sides = self
            .value(&format!("(({{ left, top, width, height }}) => [left, top, width, height])({chart}.getBoundingClientRect())"))
            .await;
        let side = |number: usize| sides[number].as_f64().unwrap();
        let (left, top, width, height) = (side(0), side(1), side(2), side(3));
        move |across, down| (left + across * width, top + down * height)
    }

    /// The middle of an element.
    pub async fn middle(&self, element: &str) -> Place {
        self.run(&format!("{element}.scrollIntoView({{ block: 'center' }})")).await;
        let place = self
            .value(&format!("(({{ left, top, width, height }}) => [left + width / 2, top + height / 2])({element}.getBoundingClientRect())"))
            .await;
        (place[0].as_f64().unwrap(), place[1].as_f64().unwrap())
    }

    async fn mouse(&self, kind: &str, (x, y): Place, more: Value) {
        let mut event = json!({ "type": kind, "x": x, "y": y });
        event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.devtools("Input.dispatchMouseEvent", event).await;
    }

    pub async fn hover(&self, place: Place) {
        self.mouse("mouseMoved", place, json!({})).await;
    }

    /// Clicks so many times in a row.
    pub async fn click(&self, place: Place, button: Button, times: u32) {
        let name = if button == Button::Left { "left" } else { "right" };
        self.hover(place).await;
        for count in 1..=times {
            let pressed = json!({ "button": name, "clickCount": count });
            self.mouse("mousePressed", place, pressed.clone()).await;
            self.mouse("mouseReleased", place, pressed).await;
        }
    }

    /// A key by its name in `KeyboardEvent.key`, to what has the focus.
    pub async fn key(&self, key: &str, shift: bool) {
        let modifiers = if shift { 8 } else { 0 };
        let mut event = json!({ "type": "keyDown", "key": key, "modifiers": modifiers });
        let text = match key {
            "Enter" => "\r",
            " " => " ",
            letter if letter.chars().count() == 1 => letter,
            _ => "",
        };
        if !text.is_empty() {
            event["text"] = json!(text);
        }
        if let Some(code) =
            [("Tab", 9), ("Enter", 13), ("Escape", 27), (" ", 32)].iter().find(|(name, _)| *name == key)
        {
            event["windowsVirtualKeyCode"] = json!(code.1);
        }
        self.devtools("Input.dispatchKeyEvent", event.clone()).await;
        event["type"] = json!("keyUp");
        event.as_object_mut().unwrap().remove("text");
        self.devtools("Input.dispatchKeyEvent", event).await;
    }

    /// Fingers at these places: `touchStart`, `touchMove`, or `touchEnd` with none left.
    pub async fn fingers(&self, kind: &str, places: &[Place]) {
        let point = |(id, (x, y)): (usize, &Place)| json!({ "x": x, "y": y, "id": id });
        let points: Vec<Value> = places.iter().enumerate().map(point).collect();
        self.devtools("Input.dispatchTouchEvent", json!({ "type": kind, "touchPoints": points })).await;
    }
}
