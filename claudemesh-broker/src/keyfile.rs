//! The broker's key on disk: 32 bytes, readable by its owner only.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::Path;

use claudemesh_core::SigningKey;
use rand_core::CryptoRng;

/// The key file cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyFileError {
    /// It cannot be read or written.
    #[error("cannot use the broker's key file: {0}")]
    Io(#[from] io::Error),
    /// It holds something else. Members know the broker by its key, so it is not replaced.
    #[error("the broker's key file does not hold a key")]
    Damaged,
}

/// Creates the broker's folder for its owner alone.
pub(crate) fn create_directory(path: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

/// The key in the file; a fresh one is written when there is no file.
pub(crate) fn load_or_create(path: &Path, rng: &mut impl CryptoRng) -> Result<SigningKey, KeyFileError> {
    match File::open(path) {
        Ok(file) => load(file),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let key = SigningKey::generate(rng);
            create(path, &key)?;
            Ok(key)
        }
        Err(error) => Err(error.into()),
    }
}

fn load(file: File) -> Result<SigningKey, KeyFileError> {
    let mut seed = Vec::with_capacity(33);
    file.take(33).read_to_end(&mut seed)?;
    let seed = <[u8; 32]>::try_from(&seed[..]).map_err(|_| KeyFileError::Damaged)?;
    Ok(SigningKey::from_seed(&seed))
}

/// Writes the key so that it is there whole or not at all.
fn create(path: &Path, key: &SigningKey) -> io::Result<()> {
    let new = path.with_extension("new");
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&new)?;
    file.write_all(&*key.seed())?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    // The name must last as long as the bytes.
    if let Some(directory) = path.parent() {
        File::open(directory)?.sync_all()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use claudemesh_core::testing::SeededRng;

    #[test]
    fn the_key_is_made_once_and_for_its_owner() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("sub").join("broker.key");
        create_directory(path.parent().unwrap()).unwrap();
        let mut rng = SeededRng::new(1);
        let key = load_or_create(&path, &mut rng).unwrap();
        assert_eq!(load_or_create(&path, &mut rng).unwrap().public(), key.public());
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
            assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
        }
    }

    #[test]
    fn a_damaged_key_is_not_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("broker.key");
        for bytes in [&[1; 31][..], &[1; 33]] {
            fs::write(&path, bytes).unwrap();
            assert!(matches!(load_or_create(&path, &mut SeededRng::new(1)), Err(KeyFileError::Damaged)));
            assert_eq!(fs::read(&path).unwrap(), bytes);
        }
    }
}
