//! Words, `;`, `{` and `}`, as `ngx_conf_read_token` finds them.

/// A directive: its words, and whether a block follows.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Statement {
    pub(super) words: Vec<Vec<u8>>,
    pub(super) opens: bool,
    pub(super) line: u32,
}

/// Blocks in blocks; nobody writes more, and the reader calls itself for each.
const DEEPEST: usize = 64;

/// Reads a text statement by statement.
pub(super) struct Tokens<'t> {
    rest: &'t [u8],
    line: u32,
    /// Lines on which the blocks around began.
    open: Vec<u32>,
}

impl<'t> Tokens<'t> {
    pub(super) fn new(text: &'t [u8]) -> Self {
        Self { rest: text, line: 1, open: Vec::new() }
    }

    /// The next directive of the block; `None` at its end.
    pub(super) fn statement(&mut self) -> Result<Option<Statement>, (String, u32)> {
        let mut words: Vec<Vec<u8>> = Vec::new();
        let mut first = self.line;
        loop {
            self.blank();
            let Some((&byte, rest)) = self.rest.split_first() else {
                return match (words.is_empty(), self.open.last()) {
                    (false, _) => Err((
                        "unexpected end of file, expecting \";\" or \"}\"".to_owned(),
                        self.line,
                    )),
                    (true, Some(line)) => Err((
                        format!("unexpected end of file, the block of line {line} has no \"}}\""),
                        self.line,
                    )),
                    (true, None) => Ok(None),
                };
            };
            match byte {
                b';' | b'{' if words.is_empty() => {
                    return Err((format!("unexpected \"{}\"", char::from(byte)), self.line));
                }
                b';' => {
                    self.rest = rest;
                    return Ok(Some(Statement { words, opens: false, line: first }));
                }
                b'{' => {
                    self.rest = rest;
                    if self.open.len() >= DEEPEST {
                        return Err((
                            format!("more than {DEEPEST} blocks in each other"),
                            self.line,
                        ));
                    }
                    self.open.push(first);
                    return Ok(Some(Statement { words, opens: true, line: first }));
                }
                b'}' => {
                    if !words.is_empty() || self.open.pop().is_none() {
                        return Err(("unexpected \"}\"".to_owned(), self.line));
                    }
                    self.rest = rest;
                    return Ok(None);
                }
                _ => {
                    if words.is_empty() {
                        first = self.line;
                    }
                    words.push(self.word()?);
                }
            }
        }
    }

    /// Skips the block that has just been opened.
    pub(super) fn skip(&mut self) -> Result<(), (String, u32)> {
        let depth = self.open.len();
        while self.open.len() >= depth {
            self.statement()?;
        }
        Ok(())
    }

    /// Skips space and comments.
    fn blank(&mut self) {
        while let Some((&byte, rest)) = self.rest.split_first() {
            match byte {
                b'\n' => self.line += 1,
                b' ' | b'\t' | b'\r' => {}
                b'#' => {
                    let end = rest.iter().position(|&byte| byte == b'\n').unwrap_or(rest.len());
                    self.rest = &rest[end..];
                    continue;
                }
                _ => return,
            }
            self.rest = rest;
        }
    }

    /// A word, quoted or not, without its quotes and escapes.
    fn word(&mut self) -> Result<Vec<u8>, (String, u32)> {
        let first = self.line;
        let quote = self.rest.first().copied().filter(|byte| b"\"'".contains(byte));
        let mut word = Vec::new();
        let mut at = usize::from(quote.is_some());
        let mut variable = false;
        while let Some(&byte) = self.rest.get(at) {
            let next = self.rest.get(at + 1).copied();
            let ends = match quote {
                Some(quote) => byte == quote,
                None => !variable && b" \t\r\n;{".contains(&byte),
            };
            if ends {
                break;
            }
            // `${name}` is no block.
            variable = if variable { byte != b'}' } else { false };
            match (byte, next) {
                (b'\\', Some(escaped)) => {
                    match escaped {
                        b'"' | b'\'' | b'\\' => word.push(escaped),
                        b't' => word.push(b'\t'),
                        b'r' => word.push(b'\r'),
                        b'n' => word.push(b'\n'),
                        other => word.extend([b'\\', other]),
                    }
                    self.line += u32::from(escaped == b'\n');
                    at += 2;
                    continue;
                }
                (b'$', Some(b'{')) => {
                    word.extend(b"${");
                    variable = true;
                    at += 2;
                    continue;
                }
                (b'\n', _) => self.line += 1,
                _ => {}
            }
            word.push(byte);
            at += 1;
        }
        if quote.is_some() {
            let closed = self.rest.get(at).is_some();
            let after = self.rest.get(at + 1).is_none_or(|byte| b" \t\r\n;{)".contains(byte));
            if !closed {
                return Err(("unexpected end of file, a quote is not closed".to_owned(), first));
            }
            if !after {
                let found = char::from(self.rest[at + 1]);
                return Err((format!("unexpected \"{found}\" after a closing quote"), self.line));
            }
            at += 1;
        }
        self.rest = &self.rest[at..];
        Ok(word)
    }
}
