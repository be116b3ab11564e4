//! Directories that NGINX makes, and log files that it opens and opens again.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::ptr::NonNull;

use ngx::core::Pool;
use ngx::ffi::{
    ngx_add_path, ngx_conf_full_name, ngx_conf_open_file, ngx_open_file_t, ngx_path_t, ngx_str_t,
};

use super::conf::Conf;
use super::directive::Refusal;
use super::process;
use crate::conf::{DetectorPlace, OrOff, STATE_DIRECTORY};

/// A directory that the master makes for the user of its workers, as it makes `proxy_temp_path`.
/// Lies in the pool of the configuration.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Directory(NonNull<ngx_path_t>);

/// A log file. NGINX opens it, and on USR1 opens it again, so its descriptor may only be used on the
/// main thread. Lies in the pool of the configuration.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LogFile(NonNull<ngx_open_file_t>);

impl Conf<'_> {
    /// The directory of this name, below NGINX's prefix unless it is absolute. It is made once
    /// [`Self::prepare_state`] was called.
    pub(crate) fn directory(&mut self, name: &[u8]) -> Result<Directory, Refusal> {
        // As NGINX does: the slash at the end is no part of the name.
        let name = match name {
            [name @ .., b'/'] if !name.is_empty() => name,
            name => name,
        };
        let name = self.full_name(name)?;
        // SAFETY: the pool and, while a file is read, the description of it outlive the cycle's
        // paths, which lie in the same pool.
        unsafe {
            let pool = Pool::from_ngx_pool((*self.as_ptr()).pool);
            let path = NonNull::new(pool.calloc_type::<ngx_path_t>());
            let Some(path) = path else { return Err(no_memory()) };
            (*path.as_ptr()).name = name;
            if let Some(file) = (*self.as_ptr()).conf_file.as_ref() {
                (*path.as_ptr()).conf_file = file.file.name.data;
                (*path.as_ptr()).line = file.line;
            }
            Ok(Directory(path))
        }
    }

    /// Has NGINX make a directory, and run the module's part of its helper process on it if
    /// `helper`; whether it agrees. It says why not.
    fn make_directory(&mut self, directory: Directory, helper: bool) -> bool {
        let data = self.main_ptr().cast();
        let mut slot = directory.0.as_ptr();
        // SAFETY: a path of this configuration that nobody was told of yet.
        unsafe {
            (*slot).data = data;
            (*slot).manager = helper.then_some(process::manage as _);
            ngx_add_path(self.as_ptr(), &raw mut slot) == 0
        }
    }

    /// Has NGINX open a log file.
    pub(crate) fn log_file(&mut self, name: &[u8]) -> Result<LogFile, Refusal> {
        let mut name = self.full_name(name)?;
        // SAFETY: NGINX copies what it needs of the name into the pool of the configuration.
        let file = unsafe { ngx_conf_open_file((*self.as_ptr()).cycle, &raw mut name) };
        NonNull::new(file).map(LogFile).ok_or_else(no_memory)
    }

    /// Has NGINX make the directory of the state. Without a directive, who uses the module gets the
    /// default one.
    pub(super) fn prepare_state(&mut self) -> Result<(), Refusal> {
        if self.main().state.is_none() {
            self.main().state = Some(OrOff::Is(self.directory(STATE_DIRECTORY)?));
        }
        let helper = self.main().detector == Some(DetectorPlace::Process);
        let directory = self.main().state();
        match directory {
            Some(directory) if !self.make_directory(directory, helper) => Err(Refusal::Said),
            _ => Ok(()),
        }
    }

    /// A name below NGINX's prefix, in the pool and with a NUL behind it.
    fn full_name(&mut self, name: &[u8]) -> Result<ngx_str_t, Refusal> {
        let terminated = [name, b"\0"].concat();
        // SAFETY: the pool and the cycle of the configuration that is read.
        unsafe {
            let copy = ngx_str_t::from_bytes((*self.as_ptr()).pool, &terminated);
            let Some(mut copy) = copy else { return Err(no_memory()) };
            copy.len -= 1;
            if ngx_conf_full_name((*self.as_ptr()).cycle, &raw mut copy, 0) != 0 {
                return Err(no_memory());
            }
            Ok(copy)
        }
    }
}

fn no_memory() -> Refusal {
    Refusal::Because("no memory".to_owned())
}

impl Directory {
    /// Where it is.
    pub(crate) fn path(self) -> PathBuf {
        // SAFETY: lies in the configuration's pool, as this does.
        let name = unsafe { (*self.0.as_ptr()).name.as_bytes() };
        OsStr::from_bytes(name).into()
    }
}

impl LogFile {
    /// Appends whole lines with one call. What a full disk cuts off is lost.
    pub(crate) fn append(self, lines: &[u8]) -> io::Result<()> {
        // SAFETY: the descriptor that NGINX has open now; only the main thread, on which this runs,
        // replaces it.
        let written = unsafe {
            let fd = (*self.0.as_ptr()).fd;
            libc::write(fd, lines.as_ptr().cast(), lines.len())
        };
        match usize::try_from(written) {
            Err(_) => Err(io::Error::last_os_error()),
            Ok(bytes) if bytes < lines.len() => Err(io::ErrorKind::WriteZero.into()),
            Ok(_) => Ok(()),
        }
    }
}

/// Locks an open file or directory against other processes until it is closed; whether nobody else
/// had. A process that dies gives it back.
pub(crate) fn lock(file: &File) -> bool {
    // SAFETY: an open descriptor.
    unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) == 0 }
}
