//! Which stage reads from which, whatever the stages do.
//!
//! What it is: the edges of a pipeline, from the `from:` of each stage, and what is wrong with them.
//!
//! Guarantees: [`Graph::order`] holds each stage that can be reached from a stage without `from`, after the one
//! that it reads from.
//!
//! Neighbours: `bind` knows the kinds of the stages.

use modrun_core::{Code, Problem};

use crate::spec::Spec;

/// The edges between stages, which are numbered in the order of the file.
pub(crate) struct Graph {
    /// The stage that each stage reads from.
    pub(crate) from: Vec<Option<usize>>,
    /// The stages that read from each stage.
    pub(crate) readers: Vec<Vec<usize>>,
    /// Whether some stage should read from another one: then a stage without readers may be the one that is meant.
    pub(crate) incomplete: bool,
    /// The stages from those without `from` on, each after the one that it reads from.
    pub(crate) order: Vec<usize>,
}

impl Graph {
    /// The edges of `spec`; what is wrong with them goes to `problems`.
    pub(crate) fn new(spec: &Spec, problems: &mut Vec<Problem>) -> Self {
        let mut graph = Graph {
            from: vec![None; spec.stages.len()],
            readers: vec![Vec::new(); spec.stages.len()],
            incomplete: false,
            order: Vec::new(),
        };
        for (index, (name, stage)) in spec.stages.iter().enumerate() {
            let Some(from) = &stage.from else { continue };
            match spec.stages.get_index_of(from) {
                Some(read) => {
                    graph.from[index] = Some(read);
                    graph.readers[read].push(index);
                }
                None => {
                    graph.incomplete = true;
                    if !from.is_empty() {
                        problems.push(unknown_stage(spec, name, from));
                    }
                }
            }
        }
        graph.report_circles(spec, problems);
        graph.report_second_readers(spec, problems);
        let mut order: Vec<usize> =
            (0..spec.stages.len()).filter(|i| spec.stages[*i].from.is_none()).collect();
        let mut next = 0;
        while let Some(index) = order.get(next) {
            order.extend(&graph.readers[*index]);
            next += 1;
        }
        Graph { order, ..graph }
    }

    /// Reports each circle once, at its first stage in the file, and opens it: no other check need know of circles.
    fn report_circles(&mut self, spec: &Spec, problems: &mut Vec<Problem>) {
        let mut seen = vec![false; self.from.len()];
        for start in 0..self.from.len() {
            let mut path = Vec::new();
            let mut at = Some(start);
            while let Some(index) = at.filter(|index| !seen[*index]) {
                seen[index] = true;
                path.push(index);
                at = self.from[index];
            }
            let Some(first) = at.and_then(|index| path.iter().position(|visited| *visited == index)) else {
                continue;
            };
            problems.push(circle(spec, &path[first..]));
            self.incomplete = true;
            for index in &path[first..] {
                if let Some(read) = self.from[*index].take() {
                    self.readers[read].retain(|reader| reader != index);
                }
            }
        }
    }

    fn report_second_readers(&self, spec: &Spec, problems: &mut Vec<Problem>) {
        let name = |index: usize| &spec.stages.get_index(index).expect("a number of a stage").0[..];
        for (read, readers) in self.readers.iter().enumerate() {
            for second in readers.iter().skip(1) {
                let message = format!("stage `{}` is read by `{}` already", name(read), name(readers[0]));
                problems.push(at_from(name(*second), Code::NOT_A_CHAIN, message).with_hint(
                    "the stages form one chain: several readers of a stage are not supported yet",
                ));
            }
        }
    }
}

/// A problem with the `from:` of a stage.
pub(crate) fn at_from(stage: &str, code: Code, message: impl Into<String>) -> Problem {
    Problem::new(code, message).at("from").at(stage).at("stages")
}

/// A problem with a stage as a whole.
pub(crate) fn at_stage(stage: &str, code: Code, message: impl Into<String>) -> Problem {
    Problem::new(code, message).on_key().at(stage).at("stages")
}

fn unknown_stage(spec: &Spec, stage: &str, from: &str) -> Problem {
    let others = spec.stages.keys().map(String::as_str).filter(|other| *other != stage);
    at_from(stage, Code::UNKNOWN_STAGE, format!("there is no stage `{from}`")).with_nearest(from, others)
}

/// `circle`: stages, each of which reads from the next one, and the last from the first.
fn circle(spec: &Spec, circle: &[usize]) -> Problem {
    let name = |index: &usize| &spec.stages.get_index(*index).expect("a number of a stage").0[..];
    let first = circle.iter().min().map(name).unwrap_or_default();
    if circle.len() == 1 {
        return at_from(first, Code::CYCLE, format!("stage `{first}` reads from itself"));
    }
    // In the direction of the data, from the first stage of the file.
    let start = circle.iter().position(|index| name(index) == first).unwrap_or_default();
    let names: Vec<&str> = (0..=circle.len())
        .map(|step| name(&circle[(start + circle.len() - step % circle.len()) % circle.len()]))
        .collect();
    at_from(first, Code::CYCLE, format!("stages feed each other in a circle: {}", names.join(" -> ")))
        .with_hint("one of them must read from a source")
}
