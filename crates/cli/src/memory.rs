//! Memory for the engine's tables: the heap's version of the module's shared zone.

use memmap2::MmapMut;

use crate::Failure;

/// Zeroed bytes, which begin where a page does.
pub(crate) struct Memory {
    pages: MmapMut,
    bytes: usize,
}

impl Memory {
    /// `bytes` zero bytes. The operating system gives pages when they are touched.
    #[allow(
        clippy::expect_used,
        reason = "of a size that the program chose itself, as any other allocation"
    )]
    pub(crate) fn new(bytes: usize) -> Self {
        Self { pages: MmapMut::map_anon(bytes.max(1)).expect("memory for the tables"), bytes }
    }

    /// As [`Self::new`], of a size that somebody asks for, in huge pages where the system has them: the tables are
    /// read all over, and most of a read is to find its page.
    pub(crate) fn try_new(bytes: usize) -> Result<Self, Failure> {
        let refused = |_| Failure::Usage("--memory: the machine has not so much".to_owned());
        let pages = MmapMut::map_anon(bytes.max(1)).map_err(refused)?;
        #[cfg(target_os = "linux")]
        // A kernel without them refuses, and nothing is lost.
        let _ = pages.advise(memmap2::Advice::HugePage);
        Ok(Self { pages, bytes })
    }

    /// All of it.
    pub(crate) fn bytes(&mut self) -> &mut [u8] {
        &mut self.pages[..self.bytes]
    }
}

/// A size as NGINX writes it: `256m`, `1g`, `4096k`, or bytes.
pub(crate) fn parse_size(text: &str) -> Result<usize, String> {
    let lower = text.to_ascii_lowercase();
    let (digits, shift) = match lower.as_bytes().last() {
        Some(b'k') => (&lower[..lower.len() - 1], 10),
        Some(b'm') => (&lower[..lower.len() - 1], 20),
        Some(b'g') => (&lower[..lower.len() - 1], 30),
        _ => (lower.as_str(), 0),
    };
    let number: usize = digits.parse().map_err(|_| "expected a size such as 256m".to_owned())?;
    number.checked_mul(1 << shift).ok_or_else(|| "is more than this machine can address".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        let cases = [
            ("4096", Some(4096)),
            ("1k", Some(1024)),
            ("256M", Some(256 << 20)),
            ("2g", Some(2 << 30)),
        ];
        for (text, bytes) in cases {
            assert_eq!(parse_size(text).ok(), bytes, "{text}");
        }
        for text in ["", "m", "-1", "1t", "99999999999999999999g", "17179869184g"] {
            assert!(parse_size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn is_aligned() {
        for size in [64, 1000, 4096] {
            let mut memory = Memory::new(size);
            let bytes = memory.bytes();
            assert_eq!((bytes.len(), bytes.as_ptr().align_offset(64)), (size, 0));
        }
    }
}
