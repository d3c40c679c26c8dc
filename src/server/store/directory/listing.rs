//! One picture of all files of the preset directories, in which nothing is half swapped.

use std::collections::BTreeMap;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sha2::{Digest, Sha256};

/// A file's metadata say that its content is the same only when its last change is this much older than the last read: clocks of file
/// systems tick in milliseconds, and two changes may fall into one tick.
const TRUSTED_AFTER: Duration = Duration::from_secs(3);

/// Files past this many bytes are not read.
const LARGEST_FILE: u64 = 256 << 20;

/// How often a picture is taken again that changed while it was taken, and how long to wait before that.
const TRIES: usize = 10;
const PAUSE: Duration = Duration::from_millis(20);

/// One file as it was read.
#[derive(Clone, Debug)]
pub struct File {
    /// The SHA-256 of its bytes, or why there are none.
    pub content: Result<[u8; 32], String>,
    /// The bytes, where this picture is the first that has them.
    pub bytes: Option<Vec<u8>>,
    signature: Signature,
    read_at: SystemTime,
}

/// By path, as a person would write it: `DIR/NAME`, never through `..data`.
pub type Picture = BTreeMap<PathBuf, File>;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Signature {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

/// Takes a picture. What did not change since the known one is not read again.
///
/// # Errors
/// A directory cannot be read, or changes faster than it can be read.
pub fn take(directories: &[PathBuf], known: &Picture) -> io::Result<Picture> {
    for _ in 0..TRIES {
        if let Some(picture) = attempt(directories, known)? {
            return Ok(picture);
        }
        std::thread::sleep(PAUSE);
    }
    Err(io::Error::other("the files change while they are read"))
}

/// Whether two pictures show the same content.
pub fn same(left: &Picture, right: &Picture) -> bool {
    left.len() == right.len() && left.iter().zip(right).all(|(left, right)| left.0 == right.0 && left.1.content == right.1.content)
}

fn attempt(directories: &[PathBuf], known: &Picture) -> io::Result<Option<Picture>> {
    let mut picture = Picture::new();
    for directory in directories {
        let Some(before) = list(directory)? else { return Ok(None) };
        let mut signatures = Vec::with_capacity(before.files.len());
        for (name, path) in &before.files {
            let Some((signature, file)) = look(path, known.get(&directory.join(name))) else {
                continue;
            };
            signatures.push((path, signature));
            picture.insert(directory.join(name), file);
        }
        let Some(after) = list(directory)? else { return Ok(None) };
        let moved = |(path, signature): &(&PathBuf, Signature)| fs::metadata(path).map(|now| sign(&now)).unwrap_or_default() != *signature;
        if before != after || signatures.iter().any(moved) {
            return Ok(None);
        }
    }
    Ok(Some(picture))
}

#[derive(PartialEq, Eq)]
struct List {
    data: Option<PathBuf>,
    /// By name; the path is where to read it.
    files: BTreeMap<String, PathBuf>,
}

/// The kubelet shows a ConfigMap's keys as links into `..data`, itself a link that it renames over the old one; the links come before or
/// after that, one by one. So what is in `..data` is what counts, and links into it are not looked at.
/// (Kubernetes: `pkg/volume/util/atomic_writer.go`.) `None`: it was swapped meanwhile, and what it led to is gone.
fn list(directory: &Path) -> io::Result<Option<List>> {
    let link = || fs::read_link(directory.join("..data")).ok();
    let data = link();
    let mut files = BTreeMap::new();
    if let Some(data) = &data {
        let real = directory.join(data);
        let names = match names(&real) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && link().as_ref() != Some(data) => return Ok(None),
            names => names?,
        };
        for name in names {
            files.insert(name.clone(), real.join(name));
        }
    }
    for name in names(directory)? {
        let path = directory.join(&name);
        let into_data = data.is_some() && fs::read_link(&path).is_ok_and(|target| target.starts_with("..data"));
        if !into_data {
            files.insert(name, path);
        }
    }
    Ok(Some(List { data, files }))
}

fn names(directory: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(directory)? {
        let Ok(name) = entry?.file_name().into_string() else { continue };
        let kind = Path::new(&name).extension().and_then(|kind| kind.to_str());
        if !name.starts_with('.') && matches!(kind, Some("yaml" | "yml" | "json")) {
            names.push(name);
        }
    }
    Ok(names)
}

/// `None`: no file (a directory, a pipe).
fn look(path: &Path, known: Option<&File>) -> Option<(Signature, File)> {
    let read_at = SystemTime::now();
    let failed = |error: &io::Error| {
        let file = File { content: Err(error.to_string()), bytes: None, signature: Signature::default(), read_at };
        (Signature::default(), file)
    };
    let metadata = match fs::metadata(path) {
        Ok(metadata) if metadata.is_file() => metadata,
        Ok(_) => return None,
        Err(error) => return Some(failed(&error)),
    };
    let signature = sign(&metadata);
    if let Some(known) = known.filter(|known| known.content.is_ok() && known.signature == signature && trusted(known)) {
        return Some((signature, known.clone()));
    }
    if metadata.len() > LARGEST_FILE {
        return Some(failed(&io::Error::other("it is larger than 256 MiB")));
    }
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) => return Some(failed(&error)),
    };
    let content: [u8; 32] = Sha256::digest(&bytes).into();
    let news = known.is_none_or(|known| known.content.as_ref() != Ok(&content));
    let bytes = if news { Some(bytes) } else { known.and_then(|known| known.bytes.clone()) };
    Some((signature, File { content: Ok(content), bytes, signature, read_at }))
}

fn trusted(file: &File) -> bool {
    let (seconds, nanoseconds) = file.signature.changed;
    let changed = UNIX_EPOCH + Duration::new(u64::try_from(seconds).unwrap_or(0), u32::try_from(nanoseconds).unwrap_or(0));
    file.read_at.duration_since(changed).is_ok_and(|age| age > TRUSTED_AFTER)
}

fn sign(metadata: &Metadata) -> Signature {
    Signature {
        device: metadata.dev(),
        inode: metadata.ino(),
        size: metadata.size(),
        modified: (metadata.mtime(), metadata.mtime_nsec()),
        changed: (metadata.ctime(), metadata.ctime_nsec()),
    }
}
