//! A histogram as Prometheus prints it.

/// Added over the series that it was read from.
#[derive(Clone, Debug, Default)]
pub struct Histogram {
    /// Seconds, and how many took at most so long; ascending.
    pub buckets: Vec<(f64, f64)>,
    /// Seconds.
    pub sum: f64,
    pub count: f64,
}

impl Histogram {
    /// The series of this name whose labels contain `labels`.
    pub fn read(text: &str, name: &str, labels: &str) -> Histogram {
        let mut read = Histogram::default();
        for line in text.lines().filter(|line| line.contains(labels)) {
            let Some(rest) = line.strip_prefix(name) else { continue };
            let value = rest.rsplit(' ').next().and_then(|value| value.parse::<f64>().ok()).unwrap_or_default();
            if rest.starts_with("_sum{") {
                read.sum += value;
            } else if rest.starts_with("_count{") {
                read.count += value;
            } else if rest.starts_with("_bucket{") {
                let bound = rest.split_once("le=\"").and_then(|(_, rest)| rest.split_once('"')).map_or("", |(bound, _)| bound);
                let bound = bound.parse().unwrap_or(f64::INFINITY);
                match read.buckets.iter_mut().find(|(known, _)| *known == bound) {
                    Some((_, number)) => *number += value,
                    None => read.buckets.push((bound, value)),
                }
            }
        }
        read.buckets.sort_by(|(one, _), (other, _)| one.total_cmp(other));
        read
    }

    /// What was added since an earlier reading.
    pub fn since(&self, before: &Histogram) -> Histogram {
        let number = |bound: f64| before.buckets.iter().find(|(known, _)| *known == bound).map_or(0.0, |(_, number)| *number);
        Histogram {
            buckets: self.buckets.iter().map(|(bound, value)| (*bound, value - number(*bound))).collect(),
            sum: self.sum - before.sum,
            count: self.count - before.count,
        }
    }

    /// Both together; they have the same buckets.
    pub fn add(&mut self, other: &Histogram) {
        if self.buckets.is_empty() {
            self.buckets.clone_from(&other.buckets);
        } else {
            self.buckets.iter_mut().zip(&other.buckets).for_each(|((_, number), (_, more))| *number += more);
        }
        self.sum += other.sum;
        self.count += other.count;
    }

    /// The bucket within which this part of all is: no histogram knows more.
    pub fn within(&self, part: f64) -> String {
        let bound = self.buckets.iter().find(|(_, number)| *number >= part * self.count).map_or(f64::INFINITY, |(bound, _)| *bound);
        if bound.is_finite() { format!("<= {} ms", bound * 1e3) } else { "more".to_owned() }
    }
}
