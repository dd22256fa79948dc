//! Numbers of all runs as Parquet, for pandas, Polars and DuckDB: the tables of the CSV with types. Experiment,
//! run and metric repeat in every row and stand once in each group's dictionary.

use std::io::Write;
use std::sync::Arc;

use parquet::basic::{Compression, LogicalType, Repetition, Type as Physical};
use parquet::data_type::{BoolType, ByteArray, ByteArrayType, DoubleType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::Type;
use serde_json::Value;

use super::chosen::{Chosen, Kind, Outline, Varying, cell};
use super::csv::{metrics_of, wide_names};
use super::{FormError, Layout, Written};

/// What the file says of who made it.
pub const MAKER: &str = concat!("overnight version ", env!("CARGO_PKG_VERSION"));

/// Rows in memory at once: some ten MiB.
const ROWS: usize = 1 << 17;

pub fn write(
    chosen: &mut Chosen,
    layout: Layout,
    out: &mut (impl Write + Send),
    written: &mut Written,
) -> Result<(), FormError> {
    let mut varying = Varying::default();
    for dir in chosen.dirs {
        varying.see(&chosen.outline(dir).settings);
    }
    let settings = varying.settings();
    let paths: Vec<String> = settings.iter().map(|(path, _)| path.clone()).collect();
    let mut columns = vec![
        Column::new("experiment", Cells::Words(Vec::new())),
        Column::new("run", Cells::Words(Vec::new())),
        Column::new("seed", Cells::Seed(Vec::new())),
        Column::new("step", Cells::Whole(Vec::new())),
    ];
    let metrics = match layout {
        Layout::Long => {
            columns.push(Column::new("metric", Cells::Words(Vec::new())));
            columns.push(Column::new("value", Cells::Real(Vec::new())));
            None
        }
        Layout::Wide => {
            let metrics = metrics_of(chosen)?;
            let names = wide_names(&metrics, &paths);
            let of_metrics = names.iter().skip(columns.len()).take(metrics.len());
            columns.extend(
                of_metrics.map(|name| Column::new(name, Cells::Real(Vec::new()))).collect::<Vec<_>>(),
            );
            Some(metrics)
        }
    };
    columns.extend(settings.iter().map(|(path, kind)| {
        let cells = match kind {
            Kind::Whole => Cells::Whole(Vec::new()),
            Kind::Real => Cells::Real(Vec::new()),
            Kind::Truth => Cells::Truth(Vec::new()),
            Kind::Words => Cells::Words(Vec::new()),
        };
        Column::new(path, cells)
    }));
    let mut table = Table::new(out, columns).map_err(made)?;
    for dir in chosen.dirs {
        let outline = chosen.outline(dir);
        let mut between = 0;
        match &metrics {
            None => long(chosen, dir, &outline, &paths, &mut table, &mut between)?,
            Some(metrics) => wide(chosen, dir, &outline, (metrics, &paths), &mut table, &mut between)?,
        }
        if between > 0 {
            chosen.damage(format_args!("{between} rows of {} have no whole step", outline.run));
        }
    }
    let rows = table.finish().map_err(made)?;
    written.holds.push(("rows".into(), rows));
    Ok(())
}

fn long(
    chosen: &mut Chosen,
    dir: &crate::run_dir::RunDir,
    outline: &Outline,
    settings: &[String],
    table: &mut Table<impl Write + Send>,
    between: &mut u64,
) -> Result<(), FormError> {
    let run = OfRun::of(outline, settings);
    let mut names: Vec<ByteArray> = Vec::new();
    chosen.each_row(dir, |columns, values| {
        if names.is_empty() {
            names = columns.iter().map(|name| ByteArray::from(name.as_str())).collect();
        }
        let step = step_of(columns, values, between);
        for (at, value) in values.iter().enumerate().filter(|(at, _)| columns[*at] != "step") {
            let Some(value) = value else { continue };
            table.begin(&run, step);
            table.columns[4].words(Some(names[at].clone()));
            table.columns[5].real(Some(*value));
            table.end(6, &run).map_err(made)?;
        }
        Ok(())
    })
}

fn wide(
    chosen: &mut Chosen,
    dir: &crate::run_dir::RunDir,
    outline: &Outline,
    (metrics, settings): (&[String], &[String]),
    table: &mut Table<impl Write + Send>,
    between: &mut u64,
) -> Result<(), FormError> {
    let run = OfRun::of(outline, settings);
    let mut places: Vec<Option<usize>> = Vec::new();
    chosen.each_row(dir, |columns, values| {
        if places.is_empty() {
            let place = |name: &String| columns.iter().position(|column| column == name);
            places = metrics.iter().map(place).collect();
        }
        let step = step_of(columns, values, between);
        table.begin(&run, step);
        for (at, place) in places.iter().enumerate() {
            table.columns[4 + at].real(place.and_then(|place| values[place]));
        }
        table.end(4 + places.len(), &run).map_err(made)
    })
}

/// A step that is no whole number has no place in a column of whole ones.
fn step_of(columns: &[String], values: &[Option<f64>], between: &mut u64) -> Option<i64> {
    let at = columns.iter().position(|name| name == "step")?;
    let step = values[at]?;
    let is_whole = step.fract() == 0.0 && step.abs() < 9e15;
    *between += u64::from(!is_whole);
    is_whole.then_some(step as i64)
}

fn made(error: ParquetError) -> FormError {
    FormError::Made { what: "the Parquet file", reason: error.to_string() }
}

/// What every row of a run repeats.
struct OfRun {
    experiment: ByteArray,
    run: ByteArray,
    seed: Option<i64>,
    settings: Vec<(Option<Value>, ByteArray)>,
}

impl OfRun {
    fn of(outline: &Outline, settings: &[String]) -> OfRun {
        let setting = |path: &String| {
            let value = outline.settings.get(path).filter(|value| !value.is_null());
            (value.cloned(), ByteArray::from(cell(value).as_str()))
        };
        OfRun {
            experiment: ByteArray::from(outline.experiment.as_str()),
            run: ByteArray::from(outline.run.as_str()),
            // The bits of the unsigned number, as the column's type says.
            seed: outline.seed.map(u64::cast_signed),
            settings: settings.iter().map(setting).collect(),
        }
    }
}

struct Column {
    name: String,
    cells: Cells,
    /// One for each row: 1 where there is a value.
    levels: Vec<i16>,
}

enum Cells {
    Words(Vec<ByteArray>),
    Whole(Vec<i64>),
    /// Whole numbers without a sign.
    Seed(Vec<i64>),
    Real(Vec<f64>),
    Truth(Vec<bool>),
}

impl Column {
    fn new(name: &str, cells: Cells) -> Column {
        Column { name: name.to_owned(), cells, levels: Vec::new() }
    }

    fn words(&mut self, value: Option<ByteArray>) {
        self.levels.push(i16::from(value.is_some()));
        if let Cells::Words(cells) = &mut self.cells {
            cells.extend(value);
        }
    }

    fn whole(&mut self, value: Option<i64>) {
        self.levels.push(i16::from(value.is_some()));
        if let Cells::Whole(cells) | Cells::Seed(cells) = &mut self.cells {
            cells.extend(value);
        }
    }

    fn real(&mut self, value: Option<f64>) {
        self.levels.push(i16::from(value.is_some()));
        if let Cells::Real(cells) = &mut self.cells {
            cells.extend(value);
        }
    }

    fn setting(&mut self, (value, words): &(Option<Value>, ByteArray)) {
        match &mut self.cells {
            Cells::Words(_) => self.words(value.as_ref().map(|_| words.clone())),
            Cells::Whole(_) | Cells::Seed(_) => self.whole(value.as_ref().and_then(Value::as_i64)),
            Cells::Real(_) => self.real(value.as_ref().and_then(Value::as_f64)),
            Cells::Truth(cells) => {
                let value = value.as_ref().and_then(Value::as_bool);
                self.levels.push(i16::from(value.is_some()));
                cells.extend(value);
            }
        }
    }

    fn schema(&self) -> Result<Type, ParquetError> {
        let (physical, logical) = match &self.cells {
            Cells::Words(_) => (Physical::BYTE_ARRAY, Some(LogicalType::String)),
            Cells::Whole(_) => (Physical::INT64, None),
            Cells::Seed(_) => {
                (Physical::INT64, Some(LogicalType::Integer { bit_width: 64, is_signed: false }))
            }
            Cells::Real(_) => (Physical::DOUBLE, None),
            Cells::Truth(_) => (Physical::BOOLEAN, None),
        };
        Type::primitive_type_builder(&self.name, physical)
            .with_repetition(Repetition::OPTIONAL)
            .with_logical_type(logical)
            .build()
    }
}

struct Table<W: Write + Send> {
    writer: SerializedFileWriter<W>,
    columns: Vec<Column>,
    rows: u64,
}

impl<W: Write + Send> Table<W> {
    fn new(out: W, columns: Vec<Column>) -> Result<Table<W>, ParquetError> {
        let fields = columns.iter().map(|column| column.schema().map(Arc::new));
        let fields = fields.collect::<Result<Vec<_>, _>>()?;
        let schema = Type::group_type_builder("runs").with_fields(fields).build()?;
        let properties = WriterProperties::builder()
            .set_compression(Compression::SNAPPY)
            .set_created_by(MAKER.to_owned())
            .build();
        let writer = SerializedFileWriter::new(out, Arc::new(schema), Arc::new(properties))?;
        Ok(Table { writer, columns, rows: 0 })
    }

    /// The cells of a row that every table has.
    fn begin(&mut self, run: &OfRun, step: Option<i64>) {
        self.columns[0].words(Some(run.experiment.clone()));
        self.columns[1].words(Some(run.run.clone()));
        self.columns[2].whole(run.seed);
        self.columns[3].whole(step);
    }

    /// The settings of a row, from this column on.
    fn end(&mut self, from: usize, run: &OfRun) -> Result<(), ParquetError> {
        for (column, value) in self.columns[from..].iter_mut().zip(&run.settings) {
            column.setting(value);
        }
        self.rows += 1;
        if self.rows.is_multiple_of(ROWS as u64) { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), ParquetError> {
        let mut group = self.writer.next_row_group()?;
        for column in &mut self.columns {
            let Some(mut writer) = group.next_column()? else { break };
            let levels = Some(column.levels.as_slice());
            match &mut column.cells {
                Cells::Words(cells) => {
                    writer.typed::<ByteArrayType>().write_batch(cells, levels, None)?;
                    cells.clear();
                }
                Cells::Whole(cells) | Cells::Seed(cells) => {
                    writer.typed::<Int64Type>().write_batch(cells, levels, None)?;
                    cells.clear();
                }
                Cells::Real(cells) => {
                    writer.typed::<DoubleType>().write_batch(cells, levels, None)?;
                    cells.clear();
                }
                Cells::Truth(cells) => {
                    writer.typed::<BoolType>().write_batch(cells, levels, None)?;
                    cells.clear();
                }
            }
            writer.close()?;
            column.levels.clear();
        }
        group.close().map(drop)
    }

    /// How many rows there are.
    fn finish(mut self) -> Result<u64, ParquetError> {
        if !self.rows.is_multiple_of(ROWS as u64) || self.rows == 0 {
            self.flush()?;
        }
        self.writer.close()?;
        Ok(self.rows)
    }
}
