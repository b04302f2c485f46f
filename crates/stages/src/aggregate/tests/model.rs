//! What an aggregate means, row by row and without any of its code.

use super::*;

/// One row; floats are multiples of 1/4 so small that their sums are exact in a float64.
#[derive(Clone, Debug)]
pub(super) struct Row {
    s: Option<String>,
    i: Option<i64>,
    f: Option<f64>,
    b: Option<bool>,
    t: Option<i64>,
}

pub(super) fn row() -> impl Strategy<Value = Row> {
    let f = prop_oneof![4 => (-8_i32..8).prop_map(|n| f64::from(n) / 4.0), 1 => any::<i32>().prop_map(|n| f64::from(n) / 4.0)];
    let i = prop_oneof![4 => -2_i64..3, 1 => -(1_i64 << 45)..1 << 45];
    let option = proptest::option::weighted::<std::ops::Range<i64>>;
    (
        proptest::option::of("[ab\0]{0,2}"),
        proptest::option::of(i),
        proptest::option::of(f),
        any::<Option<bool>>(),
        option(0.8, -3..3),
    )
        .prop_map(|(s, i, f, b, t)| Row { s, i, f, b, t: t.map(|t| t * 1_000_000) })
}

pub(super) fn schema() -> SchemaRef {
    let fields = [
        ("s", Type::String),
        ("i", Type::Int64),
        ("f", Type::Float64),
        ("b", Type::Bool),
        ("t", Type::Timestamp),
    ];
    Arc::new(Schema::new(fields.map(|(name, of)| Field::new(name, of.to_arrow(), true)).to_vec()))
}

/// The rows as a batch, the strings dictionary-encoded or plain.
pub(super) fn batch(rows: &[Row], coded: bool) -> RecordBatch {
    let strings = rows.iter().map(|row| row.s.as_deref());
    super::batch(vec![
        (
            "s",
            if coded {
                Arc::new(strings.collect::<DictionaryArray<Int8Type>>())
            } else {
                Arc::new(strings.collect::<StringArray>())
            },
        ),
        ("i", Arc::new(rows.iter().map(|row| row.i).collect::<Int64Array>())),
        ("f", Arc::new(rows.iter().map(|row| row.f).collect::<Float64Array>())),
        ("b", Arc::new(rows.iter().map(|row| row.b).collect::<BooleanArray>())),
        (
            "t",
            Arc::new(
                rows.iter().map(|row| row.t).collect::<TimestampMicrosecondArray>().with_timezone("UTC"),
            ),
        ),
    ])
}

/// One value; null is below everything.
#[derive(Clone, Debug)]
enum Cell {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    Time(i64),
}

impl Cell {
    fn of(row: &Row, column: &str) -> Cell {
        let cell = match column {
            "s" => row.s.clone().map(Cell::Text),
            "i" => row.i.map(Cell::Int),
            "f" => row.f.map(Cell::Float),
            "b" => row.b.map(Cell::Bool),
            _ => row.t.map(Cell::Time),
        };
        cell.unwrap_or(Cell::Null)
    }

    fn json(&self) -> String {
        match self {
            Cell::Null => "null".to_owned(),
            Cell::Bool(value) => value.to_string(),
            Cell::Int(value) => value.to_string(),
            // `-0` is printed as `0`.
            Cell::Float(value) => ryu_js::Buffer::new().format(value + 0.0).to_owned(),
            Cell::Text(text) => serde_json::to_string(text).unwrap(),
            Cell::Time(micros) if *micros < 0 => {
                format!("\"1969-12-31T23:59:{:02}.000Z\"", 60 + micros / 1_000_000)
            }
            Cell::Time(micros) => format!("\"1970-01-01T00:00:{:02}.000Z\"", micros / 1_000_000),
        }
    }

    fn rank(&self) -> u8 {
        u8::from(!matches!(self, Cell::Null))
    }
}

impl Ord for Cell {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Cell::Bool(a), Cell::Bool(b)) => a.cmp(b),
            (Cell::Int(a), Cell::Int(b)) | (Cell::Time(a), Cell::Time(b)) => a.cmp(b),
            (Cell::Float(a), Cell::Float(b)) => a.partial_cmp(b).unwrap(),
            (Cell::Text(a), Cell::Text(b)) => a.as_bytes().cmp(b.as_bytes()),
            _ => self.rank().cmp(&other.rank()),
        }
    }
}

impl PartialOrd for Cell {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Cell {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Cell {}

/// The lines that `config` gives for `rows`.
pub(super) fn aggregate(config: &Value, rows: &[Row]) -> String {
    let by: Vec<&str> =
        config["by"].as_array().unwrap().iter().map(|column| column.as_str().unwrap()).collect();
    let mut groups: BTreeMap<Vec<Cell>, Vec<&Row>> = BTreeMap::new();
    if by.is_empty() {
        groups.insert(vec![], vec![]);
    }
    for row in rows {
        groups.entry(by.iter().map(|column| Cell::of(row, column)).collect()).or_default().push(row);
    }
    let line = |(key, rows): (&Vec<Cell>, &Vec<&Row>)| {
        let keys = by.iter().zip(key).map(|(name, cell)| format!("\"{name}\":{}", cell.json()));
        let values = config["values"].as_object().unwrap().iter();
        let values =
            values.map(|(name, call)| format!("\"{name}\":{}", call_on(call.as_str().unwrap(), rows).json()));
        format!("{{{}}}\n", keys.chain(values).collect::<Vec<_>>().join(","))
    };
    groups.iter().map(line).collect()
}

fn call_on(call: &str, rows: &[&Row]) -> Cell {
    let (function, column) = call.trim_end_matches(')').split_once('(').unwrap();
    if column.is_empty() {
        return Cell::Int(rows.len() as i64);
    }
    let cells: Vec<Cell> =
        rows.iter().map(|row| Cell::of(row, column)).filter(|cell| *cell != Cell::Null).collect();
    let int = cells.iter().map(|cell| if let Cell::Int(value) = cell { *value } else { 0 }).sum::<i64>();
    let float =
        cells.iter().map(|cell| if let Cell::Float(value) = cell { *value } else { 0.0 }).sum::<f64>();
    match (function, column) {
        ("count", _) => Cell::Int(cells.len() as i64),
        _ if cells.is_empty() => Cell::Null,
        ("sum", "i") => Cell::Int(int),
        ("sum", _) => Cell::Float(float),
        ("avg", "i") => Cell::Float(int as f64 / cells.len() as f64),
        ("avg", _) => Cell::Float(float / cells.len() as f64),
        ("min", _) => cells.into_iter().min().unwrap(),
        _ => cells.into_iter().max().unwrap(),
    }
}
