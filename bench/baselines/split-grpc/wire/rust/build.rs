//! Generates the messages and services from the contract, without protoc.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo::rerun-if-changed=../../proto/split.proto");
    let files = protox::compile(["split.proto"], ["../../proto"])?;
    tonic_prost_build::configure()
        .bytes(".split.v1.Event")
        .codec_path("crate::MeteredCodec")
        .compile_fds(files)?;
    Ok(())
}
