//! Files of the state on disk.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// No state is larger.
const BYTES_MAX: u64 = 1 << 32;

/// What tells a file from the one that takes its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    inode: u64,
    changed: (i64, i64),
    bytes: u64,
}

/// The file as it is now; `None` when there is none.
pub(super) fn identity(path: &Path) -> Option<Identity> {
    let metadata = fs::symlink_metadata(path).ok()?;
    let changed = (metadata.mtime(), metadata.mtime_nsec());
    Some(Identity { inode: metadata.ino(), changed, bytes: metadata.len() })
}

/// The whole file; `None` when there is none. Whatever lies there instead of a file (a link, a pipe
/// that nobody writes to) is refused and waits for nobody: the master reads, too.
pub(super) fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_CLOEXEC;
    let file = match OpenOptions::new().read(true).custom_flags(flags).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::other("it is no regular file"));
    }
    if metadata.len() > BYTES_MAX {
        return Err(io::Error::other("it is larger than any state"));
    }
    let mut bytes = Vec::new();
    file.take(BYTES_MAX).read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}

/// Puts `bytes` in the place of a file, so that after a crash or a loss of power there is the old
/// file or the new one, whole. The caller holds the lock of the directory.
pub(super) fn replace(directory: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let aside = directory.join(format!("{name}.new"));
    let written = write(&aside, bytes).and_then(|()| fs::rename(&aside, directory.join(name)));
    if let Err(error) = written {
        // It takes space, and nobody reads it.
        let _ = fs::remove_file(&aside);
        return Err(error);
    }
    File::open(directory)?.sync_all()
}

fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    // What a killed writer left, or somebody put there.
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Gives a file that cannot be used another name, beside it; the error is why that failed.
pub(super) fn move_aside(path: &Path, unix_s: u64) -> io::Result<PathBuf> {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".refused-{unix_s}"));
    let aside = PathBuf::from(name);
    fs::rename(path, &aside)?;
    Ok(aside)
}
