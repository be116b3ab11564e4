//! Log files: plain, gzip, zstd or standard input, line by line, in bounded memory.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;
use memchr::memchr;
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

/// The longest line that is read; a longer one is skipped without being kept.
pub(crate) const LINE_MAX: usize = 64 << 10;
/// Bytes read at once.
const BUFFER: usize = 256 << 10;

/// What is wrong with an archive, as gzip's decoder says it; that of zstd shows its own insides.
const BROKEN_ZSTD: &str = "incomplete or damaged zstd stream";

/// What comes next in a file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next<'a> {
    /// A line, without its line end.
    Line(&'a [u8]),
    /// A line longer than [`LINE_MAX`], which was skipped.
    TooLong,
    /// The end of the file.
    End,
}

/// Lines of a stream of bytes.
pub(crate) struct Lines {
    source: Box<dyn Read + Send>,
    buffer: Box<[u8]>,
    /// Bytes of `buffer` that are read and not yet given away.
    start: usize,
    end: usize,
    ended: bool,
}

/// Opens a file, or standard input when it is `-`, and unpacks what its first bytes say is packed.
pub(crate) fn open(path: &Path) -> io::Result<Lines> {
    if path.as_os_str() == "-" {
        return Lines::new(io::stdin());
    }
    let file = File::open(path)?;
    if file.metadata()?.is_dir() {
        return Err(io::Error::other("is a directory"));
    }
    Lines::new(file)
}

impl Lines {
    /// Lines of `source`, unpacked when its first bytes say that it is packed.
    pub(crate) fn new(mut source: impl Read + Send + 'static) -> io::Result<Self> {
        let mut magic = Vec::with_capacity(4);
        source.by_ref().take(4).read_to_end(&mut magic)?;
        let packing = (magic.starts_with(&[0x1f, 0x8b]), magic == [0x28, 0xb5, 0x2f, 0xfd]);
        let whole = Cursor::new(magic).chain(source);
        let source: Box<dyn Read + Send> = match packing {
            (true, _) => Box::new(MultiGzDecoder::new(BufReader::with_capacity(BUFFER, whole))),
            (_, true) => Box::new(Zstd::new(whole)),
            _ => Box::new(whole),
        };
        let buffer = vec![0; BUFFER].into_boxed_slice();
        Ok(Self { source, buffer, start: 0, end: 0, ended: false })
    }

    /// The next line. After an error what was read before it has been given away, but for a line
    /// that was cut in the middle.
    pub(crate) fn next(&mut self) -> io::Result<Next<'_>> {
        let mut searched = self.start;
        loop {
            if let Some(at) = memchr(b'\n', &self.buffer[searched..self.end]) {
                let line = self.start..searched + at;
                self.start = line.end + 1;
                return Ok(self.give(line));
            }
            searched = self.end;
            if self.ended {
                let line = self.start..self.end;
                self.start = self.end;
                return Ok(if line.is_empty() { Next::End } else { self.give(line) });
            }
            if self.end - self.start > LINE_MAX {
                self.skip_line()?;
                return Ok(Next::TooLong);
            }
            searched -= self.start;
            self.fill()?;
        }
    }

    fn give(&self, line: core::ops::Range<usize>) -> Next<'_> {
        let line = &self.buffer[line];
        if line.len() > LINE_MAX {
            return Next::TooLong;
        }
        Next::Line(line.strip_suffix(b"\r").unwrap_or(line))
    }

    /// Drops everything up to the next line end.
    fn skip_line(&mut self) -> io::Result<()> {
        loop {
            (self.start, self.end) = (0, 0);
            self.fill()?;
            if let Some(at) = memchr(b'\n', &self.buffer[..self.end]) {
                self.start = at + 1;
                return Ok(());
            }
            if self.ended {
                self.start = self.end;
                return Ok(());
            }
        }
    }

    /// Moves what is left to the front of the buffer and reads more behind it.
    fn fill(&mut self) -> io::Result<()> {
        self.buffer.copy_within(self.start..self.end, 0);
        (self.start, self.end) = (0, self.end - self.start);
        loop {
            match self.source.read(&mut self.buffer[self.end..]) {
                Ok(read) => {
                    self.ended = read == 0;
                    self.end += read;
                    return Ok(());
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// A zstd stream of any number of frames, which is what concatenated files are.
struct Zstd<R> {
    packed: BufReader<R>,
    decoder: FrameDecoder,
    within_frame: bool,
}

impl<R: Read> Zstd<R> {
    fn new(packed: R) -> Self {
        let packed = BufReader::with_capacity(BUFFER, packed);
        Self { packed, decoder: FrameDecoder::new(), within_frame: false }
    }

    /// Begins the next frame; false at the end of the stream.
    fn next_frame(&mut self) -> io::Result<bool> {
        use FrameDecoderError::ReadFrameHeaderError as Header;
        while !self.packed.fill_buf()?.is_empty() {
            match self.decoder.reset(&mut self.packed) {
                Ok(()) => return Ok(true),
                Err(Header(ReadFrameHeaderError::SkipFrame { length, .. })) => {
                    io::copy(&mut self.packed.by_ref().take(length.into()), &mut io::sink())?;
                }
                Err(_) => return Err(io::Error::other(BROKEN_ZSTD)),
            }
        }
        Ok(false)
    }
}

impl<R: Read> Read for Zstd<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if !self.within_frame {
                self.within_frame = self.next_frame()?;
                if !self.within_frame {
                    return Ok(0);
                }
            }
            while self.decoder.can_collect() < buffer.len() && !self.decoder.is_finished() {
                let missing = buffer.len() - self.decoder.can_collect();
                self.decoder
                    .decode_blocks(&mut self.packed, BlockDecodingStrategy::UptoBytes(missing))
                    .map_err(|_| io::Error::other(BROKEN_ZSTD))?;
            }
            let read = self.decoder.read(buffer)?;
            if read > 0 || buffer.is_empty() {
                return Ok(read);
            }
            self.within_frame = false;
        }
    }
}
