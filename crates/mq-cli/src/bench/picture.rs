//! Latencies as a picture: an SVG file that needs nothing else.
//!
//! ```text
//!  us │            ╭─╯        across: which part of the messages, finer towards the slowest
//!     │      ╭─────╯          up: how long they took at most
//!     └──────────────── 99.9 %
//! ```

use std::fmt::Write as _;

use super::times::Point;

/// Draws a distribution. `title` is plain text.
pub(super) fn svg(title: &str, points: &[Point]) -> String {
    let total = points.last().map_or(0, |point| point.count);
    let scale = Scale {
        nines: as_f64(total).log10().max(1.0),
        most: ceiling(points.last().map_or(1, |point| point.micros)),
    };
    let (right, bottom) = (LEFT + WIDE, TOP + HIGH);
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {} {}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n\
         <text x=\"{LEFT}\" y=\"24\" font-size=\"14\">{}</text>\n\
         <text x=\"{LEFT}\" y=\"{}\" text-anchor=\"end\" dx=\"-8\">us</text>\n",
        right + 40.0,
        bottom + 50.0,
        escaped(title),
        TOP - 10.0,
    );
    for part in (0..=4).map(|step| as_f64(scale.most) * f64::from(step) / 4.0) {
        let y = scale.y(part);
        // Writing to a String does not fail.
        let _ = writeln!(
            text,
            "<path d=\"M{LEFT} {y:.1}H{right}\" stroke=\"#ddd\"/><text x=\"{LEFT}\" y=\"{y:.1}\" dx=\"-8\" dy=\"4\" \
             text-anchor=\"end\">{part:.0}</text>"
        );
    }
    for (part, label) in LABELS {
        let x = scale.x(part);
        if nines(part) <= scale.nines {
            let _ = writeln!(
                text,
                "<path d=\"M{x:.1} {TOP}V{bottom}\" stroke=\"#ddd\"/><text x=\"{x:.1}\" y=\"{bottom}\" dy=\"20\" \
                 text-anchor=\"middle\">{label} %</text>"
            );
        }
    }
    let mut line = String::new();
    for point in points {
        let (x, y) = (scale.x(point.part), scale.y(as_f64(point.micros)));
        let _ = write!(line, "{x:.1},{y:.1} ");
    }
    let _ = writeln!(
        text,
        "<polyline points=\"{}\" fill=\"none\" stroke=\"#0b62a4\" stroke-width=\"2\"/>\n\
         <text x=\"{right}\" y=\"{bottom}\" dy=\"40\" text-anchor=\"end\">part of the messages that took at most so long</text>\n\
         </svg>",
        line.trim_end()
    );
    text
}

/// Where a part of the messages and a time lie in the picture.
struct Scale {
    /// How many nines the axis goes to: as many as there are messages to tell apart.
    nines: f64,
    most: u64,
}

impl Scale {
    fn x(&self, part: f64) -> f64 {
        LEFT + WIDE * (nines(part).min(self.nines) / self.nines)
    }

    fn y(&self, micros: f64) -> f64 {
        TOP + HIGH * (1.0 - micros / as_f64(self.most))
    }
}

fn nines(part: f64) -> f64 {
    -(1.0 - part).log10()
}

/// The next round number that four parts divide well.
fn ceiling(most: u64) -> u64 {
    let mut unit: u64 = 4;
    loop {
        for step in [1, 2, 5] {
            let round = unit.saturating_mul(step);
            if round >= most {
                return round;
            }
        }
        unit = unit.saturating_mul(10);
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

#[expect(clippy::cast_precision_loss, reason = "a picture to look at")]
const fn as_f64(number: u64) -> f64 {
    number as f64
}

const LABELS: [(f64, &str); 8] = [
    (0.0, "0"),
    (0.5, "50"),
    (0.9, "90"),
    (0.99, "99"),
    (0.999, "99.9"),
    (0.999_9, "99.99"),
    (0.999_99, "99.999"),
    (0.999_999, "99.9999"),
];
const LEFT: f64 = 90.0;
const TOP: f64 = 60.0;
const WIDE: f64 = 680.0;
const HIGH: f64 = 320.0;

#[cfg(test)]
mod tests {
    use super::*;

    fn point(part: f64, micros: u64, count: u64) -> Point {
        Point {
            part,
            micros,
            count,
        }
    }

    #[test]
    fn the_slowest_is_at_the_right_and_the_axes_reach_it() {
        let points = [
            point(0.0, 100, 1),
            point(0.9, 200, 900),
            point(1.0, 400, 1000),
        ];
        let drawn = svg("send <t> & more", &points);
        // 400 us is the top of an axis of 400, and one of a thousand is three nines.
        assert!(
            drawn.contains("points=\"90.0,300.0 316.7,220.0 770.0,60.0\""),
            "{drawn}"
        );
        assert!(drawn.contains("send &lt;t> &amp; more"));
        assert!(drawn.contains(">99.9 %<") && !drawn.contains(">99.99 %<"));
        assert!(drawn.starts_with("<svg ") && drawn.ends_with("</svg>\n"));
    }

    #[test]
    fn nothing_measured_is_an_empty_picture() {
        let drawn = svg("none", &[]);
        assert!(drawn.contains("points=\"\"") && !drawn.contains("NaN") && !drawn.contains("inf"));
    }

    #[test]
    fn axes_end_at_round_numbers() {
        for (most, round) in [
            (0, 4),
            (5, 8),
            (9, 20),
            (400, 400),
            (401, 800),
            (u64::MAX, u64::MAX),
        ] {
            assert_eq!(ceiling(most), round, "{most}");
        }
    }
}
