//! `cargo run --release --example plot -- FOLDER`: the measurements in `FOLDER/step-*.jsonl` and `FOLDER/profile-*.jsonl`
//! as `step.svg` and `profile.svg` beside them. Each file begins with the line that names its device.

use std::{
    error::Error,
    fs,
    path::{Path, PathBuf},
};

use plotters::prelude::*;
use serde_json::Value;

type Outcome<T> = Result<T, Box<dyn Error>>;

const FONT: &str = "sans-serif";
const COLOURS: [RGBColor; 9] = [
    RGBColor(0x1f, 0x77, 0xb4),
    RGBColor(0xff, 0x7f, 0x0e),
    RGBColor(0x2c, 0xa0, 0x2c),
    RGBColor(0xd6, 0x27, 0x28),
    RGBColor(0x94, 0x67, 0xbd),
    RGBColor(0x8c, 0x56, 0x4b),
    RGBColor(0xe3, 0x77, 0xc2),
    RGBColor(0x7f, 0x7f, 0x7f),
    RGBColor(0xbc, 0xbd, 0x22),
];

fn main() -> Outcome<()> {
    let folder = PathBuf::from(std::env::args().nth(1).unwrap_or_else(|| "benches/results".to_owned()));
    let (steps, profiles) = (rows(&folder, "step-")?, rows(&folder, "profile-")?);
    plot_steps(&series(&steps), &folder.join("step.svg"))?;
    plot_profiles(&profiles, &folder.join("profile.svg"))
}

/// The lines of all files whose names begin with `start`, each with its device.
fn rows(folder: &Path, start: &str) -> Outcome<Vec<(String, Value)>> {
    let mut paths: Vec<PathBuf> =
        fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<Outcome<_>>()?;
    paths.sort();
    let named = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        name.starts_with(start) && name.ends_with(".jsonl")
    };
    let mut rows = Vec::new();
    for path in paths.into_iter().filter(named) {
        let text = fs::read_to_string(&path)?;
        let mut device = String::new();
        for line in text.lines() {
            let row: Value = serde_json::from_str(line)?;
            match row["device"].as_str() {
                Some(name) => device = row["machine"].as_str().unwrap_or(name).to_owned(),
                None => rows.push((device.clone(), row)),
            }
        }
    }
    Ok(rows)
}

/// Points of one line: tokens, and seconds of a forward pass at full depth.
struct Series {
    name: String,
    points: Vec<(f64, f64)>,
}

fn series(rows: &[(String, Value)]) -> Vec<Series> {
    let mut all: Vec<Series> = Vec::new();
    for (device, row) in rows {
        let Some(seconds) = row["full_depth_step_seconds"].as_f64() else { continue };
        let text = |name: &str| row[name].as_str().unwrap_or_default();
        let number = |name: &str| row[name].as_f64().unwrap_or_default();
        let held = if text("quant") == "none" { text("dtype") } else { text("quant") };
        let name = format!("{} {held}, {device}", text("model"));
        let point = (number("tokens"), seconds / number("forwards"));
        match all.iter_mut().find(|series| series.name == name) {
            Some(series) => series.points.push(point),
            None => all.push(Series { name, points: vec![point] }),
        }
    }
    all.iter_mut().for_each(|series| series.points.sort_by(|a, b| a.0.total_cmp(&b.0)));
    all
}

fn plot_steps(all: &[Series], path: &Path) -> Outcome<()> {
    let points = || all.iter().flat_map(|series| series.points.iter());
    if points().next().is_none() {
        return Ok(());
    }
    let range = |of: fn(&(f64, f64)) -> f64| {
        let (least, most) = points().map(of).fold((f64::MAX, 0f64), |(a, b), x| (a.min(x), b.max(x)));
        (least / 1.3)..(most * 1.3)
    };
    let root = SVGBackend::new(path, (860, 520)).into_drawing_area();
    root.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&root)
        .caption("Seconds of one forward pass at full depth", (FONT, 18))
        .margin(12)
        .x_label_area_size(44)
        .y_label_area_size(64)
        .build_cartesian_2d(range(|point| point.0).log_scale(), range(|point| point.1).log_scale())?;
    chart.configure_mesh().x_desc("tokens").y_desc("s").x_label_formatter(&|x| format!("{x:.0}")).draw()?;
    for (series, colour) in all.iter().zip(COLOURS.iter().cycle().copied()) {
        let dots = series.points.iter().map(|&point| Circle::new(point, 4, colour.filled()));
        chart.draw_series(dots)?;
        let line = LineSeries::new(series.points.iter().copied(), colour.stroke_width(2));
        let legend = move |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(3));
        chart.draw_series(line)?.label(&series.name).legend(legend);
    }
    let place = SeriesLabelPosition::UpperLeft;
    chart.configure_series_labels().position(place).border_style(BLACK).background_style(WHITE).draw()?;
    Ok(root.present()?)
}

/// Bars of shares, one above the other.
fn plot_profiles(rows: &[(String, Value)], path: &Path) -> Outcome<()> {
    let mut names: Vec<String> = Vec::new();
    for part in rows.iter().flat_map(|(_, row)| outermost(row)) {
        if !names.contains(&part.0) {
            names.push(part.0);
        }
    }
    if names.is_empty() {
        return Ok(());
    }
    let (width, bar, left) = (860, 46, 12);
    let height = 60 + rows.len() as i32 * bar + 26 * names.len().div_ceil(3) as i32;
    let root = SVGBackend::new(path, (width, height as u32)).into_drawing_area();
    root.fill(&WHITE)?;
    root.draw_text("Shares of one forward pass", &(FONT, 18).into_text_style(&root), (left, 10))?;
    let (text, scale) = ((FONT, 13).into_text_style(&root), f64::from(width as i32 - 2 * left));
    for (index, (device, row)) in rows.iter().enumerate() {
        let top = 40 + index as i32 * bar;
        root.draw_text(&title(device, row), &text, (left, top))?;
        let mut x = f64::from(left);
        for (name, share) in outermost(row) {
            let end = x + share * scale;
            let at = names.iter().position(|known| *known == name).unwrap_or_default();
            let corners = [(x as i32, top + 17), (end as i32, top + 38)];
            root.draw(&Rectangle::new(corners, colour(at).filled()))?;
            x = end;
        }
    }
    let top = 52 + rows.len() as i32 * bar;
    for (at, name) in names.iter().enumerate() {
        let (x, y) = (left + 285 * (at as i32 % 3), top + 26 * (at as i32 / 3));
        root.draw(&Rectangle::new([(x, y), (x + 14, y + 14)], colour(at).filled()))?;
        root.draw_text(name, &text, (x + 20, y + 1))?;
    }
    Ok(root.present()?)
}

fn colour(index: usize) -> RGBColor {
    COLOURS[index % COLOURS.len()]
}

fn title(device: &str, row: &Value) -> String {
    let text = |name: &str| row[name].as_str().unwrap_or_default();
    let number = |name: &str| row[name].as_u64().unwrap_or_default();
    let camera = if row["camera"] == true { ", camera" } else { "" };
    format!(
        "{} {}, {} tokens, {} of {} blocks{camera}, {device}: {:.2} s",
        text("model"),
        text("dtype"),
        number("tokens"),
        number("blocks"),
        number("of_blocks"),
        row["seconds"].as_f64().unwrap_or_default(),
    )
}

/// Names and shares of the parts that belong to no other.
fn outermost(row: &Value) -> Vec<(String, f64)> {
    let parts = row["parts"].as_array().into_iter().flatten().filter(|part| part["of"].is_null());
    parts
        .filter_map(|part| Some((part["name"].as_str()?.to_owned(), part["share"].as_f64()?.max(0.0))))
        .collect()
}
