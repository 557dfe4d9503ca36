//! The committed generated code is what the committed .proto files make. Where it is not, this test writes it anew and
//! fails once.

use std::fs;
use std::path::{Path, PathBuf};

use prost_types::FileDescriptorSet;
use protox::prost::Message as _;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// Every .proto file beneath the folder, by its name for imports.
fn protos(root: &Path, folder: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            protos(root, &path, found)?;
        } else if path
            .extension()
            .is_some_and(|extension| extension == "proto")
        {
            found.push(path.strip_prefix(root)?.to_owned());
        }
    }
    Ok(())
}

/// The descriptors with comments, for the code, and without, as bytes.
fn descriptors(root: &Path) -> Result<(FileDescriptorSet, Vec<u8>)> {
    let argocd = root.join("argocd");
    let mut files = Vec::new();
    protos(&argocd, &argocd, &mut files)?;
    protos(root, &root.join("naru"), &mut files)?;
    files.sort();
    let mut compiler = protox::Compiler::new([argocd, root.to_owned()])?;
    compiler
        .include_imports(true)
        .include_source_info(true)
        .open_files(&files)?;
    let commented = compiler.file_descriptor_set();
    let mut bare = commented.clone();
    for file in &mut bare.file {
        file.source_code_info = None;
    }
    Ok((commented, bare.encode_to_vec()))
}

fn generate(root: &Path, out: &Path) -> Result<()> {
    let (descriptors, bare) = descriptors(root)?;
    let mut config = tonic_prost_build::Config::new();
    // Equal values have equal bytes.
    config.btree_map(["."]);
    // JSON finds a message by its name.
    config.enable_type_names();
    tonic_prost_build::configure()
        .out_dir(out)
        .include_file("mod.rs")
        .compile_fds_with_config(descriptors, config)?;
    fs::write(out.join("descriptor.bin"), bare)?;
    Ok(())
}

fn content(folder: &Path) -> Result<Vec<(String, Vec<u8>)>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        files.push((name, fs::read(&path)?));
    }
    files.sort();
    Ok(files)
}

#[test]
fn the_generated_code_is_that_of_the_proto_files() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let committed = root.join("src/gen");
    let fresh = tempfile::tempdir().unwrap();
    generate(root, fresh.path()).unwrap();

    let (old, new) = (content(&committed).unwrap(), content(fresh.path()).unwrap());
    if old == new {
        return;
    }
    for (name, _) in old
        .iter()
        .filter(|(name, _)| new.iter().all(|(kept, _)| kept != name))
    {
        fs::remove_file(committed.join(name)).unwrap();
    }
    for (name, bytes) in &new {
        fs::write(committed.join(name), bytes).unwrap();
    }
    panic!(
        "src/gen was out of date and has been written anew; look at the difference and commit it"
    );
}
