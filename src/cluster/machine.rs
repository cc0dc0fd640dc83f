//! Which processors a program and an instance have.

/// A processor architecture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Machine {
    /// Intel's and AMD's.
    X86_64,
    /// Graviton's.
    Arm64,
}

impl Machine {
    /// The name that compilers and EC2 use.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64",
            Self::Arm64 => "arm64",
        }
    }

    /// Of an instance type.
    #[must_use]
    pub fn of_instance(instance_type: &str) -> Self {
        if is_arm(instance_type) { Self::Arm64 } else { Self::X86_64 }
    }

    /// Of a program for Linux, from its first bytes (the ELF header); `None` for anything else.
    #[must_use]
    pub fn of_program(head: &[u8]) -> Option<Self> {
        if !head.starts_with(b"\x7fELF\x02\x01") {
            return None;
        }
        match u16::from_le_bytes([*head.get(18)?, *head.get(19)?]) {
            62 => Some(Self::X86_64),
            183 => Some(Self::Arm64),
            _ => None,
        }
    }
}

/// Whether an instance type has Graviton processors: `g` among the letters after the generation, as in `m7gd.xlarge`.
#[must_use]
pub fn is_arm(instance_type: &str) -> bool {
    let family = instance_type.split('.').next().unwrap_or("");
    let after = family.trim_start_matches(|c: char| c.is_ascii_alphabetic());
    let letters = after.trim_start_matches(|c: char| c.is_ascii_digit());
    family == "a1" || letters.contains('g')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn graviton_is_told_from_intel_and_amd() {
        for arm in ["m6g.xlarge", "m7gd.2xlarge", "c7gn.xlarge", "a1.large", "x2gd.large", "r8g.16xlarge", "g5g.xlarge"]
        {
            assert_eq!(Machine::of_instance(arm), Machine::Arm64, "{arm}");
        }
        for x86 in ["m5.xlarge", "m6i.2xlarge", "r7a.xlarge", "g5.xlarge", "c6id.large", "i4i.large"] {
            assert_eq!(Machine::of_instance(x86), Machine::X86_64, "{x86}");
        }
    }

    #[test]
    fn a_program_says_what_it_is_for() {
        let mut head = b"\x7fELF\x02\x01\x01".to_vec();
        head.resize(20, 0);
        head[18] = 62;
        assert_eq!(Machine::of_program(&head), Some(Machine::X86_64));
        head[18] = 183;
        assert_eq!(Machine::of_program(&head), Some(Machine::Arm64));
        head[18] = 8;
        assert_eq!(Machine::of_program(&head), None);
        assert_eq!(Machine::of_program(b"#!/bin/sh"), None);
        assert_eq!(Machine::of_program(b"\x7fELF\x02\x01"), None);
    }
}
