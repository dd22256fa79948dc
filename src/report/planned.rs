//! A chart with its heading before it is drawn: pages draw it as finely as a screen shows, an exported
//! file as its size allows.

use super::chart::{self, Chart, Drawing, Grain, Size};
use super::model::{Figure, Key};

/// What becomes a [`Figure`].
#[derive(Clone, Debug)]
pub struct Planned {
    pub id: String,
    pub title: String,
    pub note: String,
    /// Which line is which.
    pub legend: Vec<Key>,
    pub chart: Chart,
}

impl Planned {
    pub fn drawn(self) -> Figure {
        let drawing = chart::draw(&self.chart);
        self.with(drawing)
    }

    pub fn drawn_at(self, grain: Grain) -> Figure {
        let drawing = chart::draw_at(&self.chart, grain);
        self.with(drawing)
    }

    /// Columns of twelve that it takes.
    pub fn width(&self) -> &'static str {
        match self.chart.size {
            Size::Full | Size::Strip => "w12",
            Size::TwoThirds => "w8",
            Size::Half => "w6",
            Size::Third | Size::Spark => "w4",
        }
    }

    fn with(self, drawing: Drawing) -> Figure {
        let width = self.width();
        let Planned { id, title, note, legend, .. } = self;
        Figure { id, title, note, width, legend, drawing }
    }
}
