//! A small plot: points, the straight line nearest to them, two axes from zero; as SVG.

use std::fmt::Write;

/// The straight line of least squares.
pub(crate) struct Fit {
    pub(crate) slope: f64,
    pub(crate) at_zero: f64,
    /// How much of the spread it explains (R squared): 1 where every point lies on it.
    pub(crate) explained: f64,
}

impl Fit {
    pub(crate) fn of(points: &[(f64, f64)]) -> Self {
        let count = points.len() as f64;
        let mean_x = points.iter().map(|(x, _)| x).sum::<f64>() / count;
        let mean_y = points.iter().map(|(_, y)| y).sum::<f64>() / count;
        let sum = |of: &dyn Fn(f64, f64) -> f64| -> f64 {
            points.iter().map(|(x, y)| of(x - mean_x, y - mean_y)).sum()
        };
        let (xx, xy, yy) = (sum(&|x, _| x * x), sum(&|x, y| x * y), sum(&|_, y| y * y));
        // One point, or one cost at every number, is as straight as can be.
        let slope = if xx > 0.0 { xy / xx } else { 0.0 };
        let explained = if xx > 0.0 && yy > 0.0 {
            xy * xy / (xx * yy)
        } else {
            1.0
        };
        Self {
            slope,
            at_zero: mean_y - slope * mean_x,
            explained,
        }
    }

    fn at(&self, x: f64) -> f64 {
        self.at_zero + self.slope * x
    }
}

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 400.0;
/// Room for the numbers and the names of the axes.
const LEFT: f64 = 80.0;
const BELOW: f64 = 60.0;
const MARGIN: f64 = 20.0;
/// So many marks an axis has, besides zero.
const MARKS: u8 = 5;

/// An axis: how far apart its marks are, and where a value lies.
struct Axis {
    step: f64,
    from: f64,
    to: f64,
}

impl Axis {
    fn of(values: impl Iterator<Item = f64>, from: f64, to: f64) -> Self {
        let most = values.fold(1e-6, f64::max);
        Self {
            step: step(most / f64::from(MARKS)),
            from,
            to,
        }
    }

    fn place(&self, value: f64) -> f64 {
        self.from + (self.to - self.from) * value / (self.step * f64::from(MARKS))
    }

    fn marks(&self) -> impl Iterator<Item = f64> {
        let step = self.step;
        (0..=MARKS).map(move |mark| step * f64::from(mark))
    }
}

/// The round number that is at least this: 1, 2 or 5 and zeros.
fn step(least: f64) -> f64 {
    let power = 10_f64.powf(least.log10().floor());
    [1.0, 2.0, 5.0, 10.0]
        .into_iter()
        .map(|digit| digit * power)
        .find(|step| *step >= least)
        .unwrap_or(least)
}

/// Draws it. `names` are those of the axes, the horizontal one first.
pub(crate) fn draw(names: (&str, &str), points: &[(f64, f64)], fit: &Fit) -> String {
    let across = Axis::of(points.iter().map(|(x, _)| *x), LEFT, WIDTH - MARGIN);
    let up = Axis::of(points.iter().map(|(_, y)| *y), HEIGHT - BELOW, MARGIN);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" \
         font-size=\"12\">\n<rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"white\"/>\n"
    );
    let mut put = |element: String| {
        // Writing to a text does not fail.
        let _ = writeln!(svg, "{element}");
    };
    for mark in across.marks() {
        let (x, y) = (across.place(mark), HEIGHT - BELOW);
        put(line((x, y), (x, MARGIN), "#ddd", 1));
        put(label((x, y + 18.0), "middle", &number(mark)));
    }
    for mark in up.marks() {
        let (x, y) = (LEFT, up.place(mark));
        put(line((x, y), (WIDTH - MARGIN, y), "#ddd", 1));
        put(label((x - 8.0, y + 4.0), "end", &number(mark)));
    }
    let middle = ((LEFT + WIDTH - MARGIN) / 2.0, HEIGHT - 15.0);
    put(label(middle, "middle", names.0));
    put(label((LEFT, 14.0), "middle", names.1));
    let last = points.iter().map(|(x, _)| *x).fold(0.0, f64::max);
    let on_line = |x: f64| (across.place(x), up.place(fit.at(x)));
    put(line(on_line(0.0), on_line(last), "#888", 2));
    for (x, y) in points {
        put(format!(
            "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"4\" fill=\"#1565c0\"/>",
            across.place(*x),
            up.place(*y)
        ));
    }
    put("</svg>".to_owned());
    svg
}

fn line(from: (f64, f64), to: (f64, f64), colour: &str, width: u8) -> String {
    format!(
        "<line x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\" stroke=\"{colour}\" stroke-width=\"{width}\"/>",
        from.0, from.1, to.0, to.1
    )
}

fn label(at: (f64, f64), anchor: &str, text: &str) -> String {
    format!(
        "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"{anchor}\" fill=\"#222\">{text}</text>",
        at.0, at.1
    )
}

/// Without the digits that a sum of fractions brings.
fn number(value: f64) -> String {
    ((value * 1e6).round() / 1e6).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_on_a_line_are_on_theirs() {
        let fit = Fit::of(&[(100.0, 3.0), (500.0, 7.0), (1000.0, 12.0)]);
        assert!((fit.slope - 0.01).abs() < 1e-9);
        assert!((fit.at_zero - 2.0).abs() < 1e-9);
        assert!((fit.explained - 1.0).abs() < 1e-9);
        // Twice as much at ten times as many is none.
        assert!(Fit::of(&[(100.0, 1.0), (1000.0, 9.0), (5000.0, 2.0)]).explained < 0.5);
    }

    #[test]
    fn one_point_has_a_line() {
        let fit = Fit::of(&[(100.0, 3.0)]);
        assert!((fit.at(0.0) - 3.0).abs() < 1e-9 && fit.slope.abs() < 1e-9);
    }

    #[test]
    fn axes_end_at_round_numbers_and_hold_every_point() {
        assert!((step(0.7) - 1.0).abs() < 1e-9);
        assert!((step(1000.0) - 1000.0).abs() < 1e-9);
        assert!((step(1001.0) - 2000.0).abs() < 1e-9);
        let points = [(100.0, 3.0), (5000.0, 41.0)];
        let svg = draw(("applications", "CPU seconds"), &points, &Fit::of(&points));
        assert_eq!(svg.matches("<circle").count(), points.len());
        for end in [">5000<", ">50<"] {
            assert!(svg.contains(end), "{svg}");
        }
        assert!(svg.ends_with("</svg>\n"));
    }
}
