//! Protobuf messages to bytes and back, timed into the ledger.

use std::marker::PhantomData;

use prost::Message;
use tonic::Status;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic_prost::{ProstCodec, ProstDecoder, ProstEncoder};

use crate::{Activity, LEDGER};

/// tonic's protobuf codec with a stopwatch on both sides.
#[derive(Debug)]
pub struct MeteredCodec<T, U>(PhantomData<(T, U)>);

impl<T, U> Default for MeteredCodec<T, U> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<T, U> Codec for MeteredCodec<T, U>
where
    T: Message + Send + 'static,
    U: Message + Default + Send + 'static,
{
    type Encode = T;
    type Decode = U;
    type Encoder = Metered<ProstEncoder<T>>;
    type Decoder = Metered<ProstDecoder<U>>;

    fn encoder(&mut self) -> Self::Encoder {
        Metered(ProstCodec::<T, U>::default().encoder())
    }

    fn decoder(&mut self) -> Self::Decoder {
        Metered(ProstCodec::<T, U>::default().decoder())
    }
}

/// An encoder or decoder whose every call is timed.
#[derive(Debug)]
pub struct Metered<C>(C);

impl<C: Encoder<Error = Status>> Encoder for Metered<C> {
    type Item = C::Item;
    type Error = Status;

    fn encode(&mut self, item: Self::Item, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        LEDGER.time(Activity::Serialise, || self.0.encode(item, buffer))
    }
}

impl<C: Decoder<Error = Status>> Decoder for Metered<C> {
    type Item = C::Item;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Self::Item>, Status> {
        LEDGER.time(Activity::Deserialise, || self.0.decode(buffer))
    }
}
