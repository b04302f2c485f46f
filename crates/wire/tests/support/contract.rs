//! `stage.proto` itself, as a protobuf implementation that is not ours reads it.

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use prost_reflect::prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage, FieldDescriptor, Value as Field};
use serde_json::{Map, Value, json};

/// The messages of `stage.proto`.
pub(crate) struct Contract(DescriptorPool);

impl Contract {
    pub(crate) fn load() -> Self {
        let proto = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../proto");
        let files = protox::compile(["stage.proto"], [proto]).unwrap();
        Self(DescriptorPool::from_file_descriptor_set(files).unwrap())
    }

    /// A message of one direction, `ToStage` or `FromStage`.
    pub(crate) fn read(&self, direction: &str, message: &[u8]) -> Result<DynamicMessage, String> {
        let descriptor = self.0.get_message_by_name(&format!("modrun.stage.v1.{direction}")).unwrap();
        DynamicMessage::decode(descriptor, message).map_err(|error| error.to_string())
    }
}

/// The bytes of a message as the other implementation writes it.
pub(crate) fn written(message: &DynamicMessage) -> Vec<u8> {
    message.encode_to_vec()
}

/// A message in protobuf's JSON mapping, with the names that fields have in `stage.proto`, without unknown fields.
pub(crate) fn json(message: &DynamicMessage) -> Value {
    let fields = message.fields().map(|(field, value)| (field.name().to_owned(), json_of(&field, value)));
    Value::Object(fields.collect::<Map<_, _>>())
}

fn json_of(field: &FieldDescriptor, value: &Field) -> Value {
    match value {
        Field::Bool(value) => json!(value),
        Field::U32(value) => json!(value),
        Field::U64(value) => json!(value.to_string()),
        Field::String(value) => json!(value),
        Field::Bytes(value) => json!(BASE64.encode(value)),
        Field::EnumNumber(number) => {
            let values = field.kind().as_enum().unwrap().get_value(*number);
            values.map_or_else(|| json!(number), |value| json!(value.name()))
        }
        Field::Message(value) => json(value),
        Field::List(values) => values.iter().map(|value| json_of(field, value)).collect(),
        Field::Map(_) | Field::I32(_) | Field::I64(_) | Field::F32(_) | Field::F64(_) => {
            unreachable!("no field of the protocol has such a type")
        }
    }
}
