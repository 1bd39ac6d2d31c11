//! Filters made short. For a call whose arguments do not matter seccompiler writes five
//! instructions where two do; and when a process enters a filter, the kernel compiles it and walks
//! it through for every system call there is. At each birth this is a good part of the work.

use seccompiler::{BpfProgram, sock_filter};

const JUMP: u16 = 0x05;
const JUMP_IF_EQUAL: u16 = 0x15;
const RETURN: u16 = 0x06;

/// The same filter: each `if nr == N {jump over the next; jump to the end; return A; return B}` is
/// `if nr == N {return A}`. All jumps stay within what belongs to one call, so that nothing else
/// moves in relation to its targets.
pub(super) fn shorten(program: &[sock_filter]) -> BpfProgram {
    let mut short = BpfProgram::with_capacity(program.len());
    let mut rest = program;
    while let Some((first, others)) = rest.split_first() {
        short.push(first.clone());
        rest = others;
        if let ([over, end, action, _mismatch, ..], true) = (others, is_entry(first))
            && is_jump(over, 1)
            && is_jump(end, 2)
            && action.code == RETURN
        {
            short.push(action.clone());
            rest = others.get(4..).unwrap_or_default();
        }
    }
    short
}

fn is_entry(instruction: &sock_filter) -> bool {
    instruction.code == JUMP_IF_EQUAL && (instruction.jt, instruction.jf) == (0, 1)
}

fn is_jump(instruction: &sock_filter, distance: u32) -> bool {
    instruction.code == JUMP && instruction.k == distance
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use seccompiler::{
        SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
        SeccompRule, TargetArch,
    };

    use super::*;

    /// What a filter says of a call: the few instructions that seccompiler uses, executed.
    fn verdict(program: &[sock_filter], data: &[u32]) -> u32 {
        let (mut at, mut accumulator) = (0, 0);
        loop {
            let one = &program[at];
            at += 1;
            let jump = |holds: bool| usize::from(if holds { one.jt } else { one.jf });
            match one.code {
                0x20 => accumulator = data[one.k as usize / 4],
                0x54 => accumulator &= one.k,
                0x05 => at += one.k as usize,
                0x15 => at += jump(accumulator == one.k),
                0x25 => at += jump(accumulator > one.k),
                0x35 => at += jump(accumulator >= one.k),
                0x06 => return one.k,
                code => panic!("instruction {code:#x}"),
            }
        }
    }

    #[test]
    fn a_short_filter_says_the_same_of_every_call() {
        let condition = |operator, value| {
            SeccompCondition::new(1, SeccompCmpArgLen::Dword, operator, value).unwrap()
        };
        let rule = |operator, value| SeccompRule::new(vec![condition(operator, value)]).unwrap();
        let mut rules: BTreeMap<i64, Vec<SeccompRule>> =
            [0, 1, 3, 39, 40, 41, 300].map(|nr| (nr, Vec::new())).into();
        rules.insert(
            16,
            vec![
                rule(SeccompCmpOp::Eq, 7),
                rule(SeccompCmpOp::MaskedEq(6), 2),
            ],
        );
        rules.insert(42, vec![rule(SeccompCmpOp::Ge, 5)]);
        let arch = TargetArch::try_from(std::env::consts::ARCH).unwrap();
        let filter = SeccompFilter::new(
            rules,
            SeccompAction::KillProcess,
            SeccompAction::Allow,
            arch,
        );
        let long: BpfProgram = filter.unwrap().try_into().unwrap();
        let short = shorten(&long);
        assert_eq!(long.len() - short.len(), 7 * 3);

        let allow = u32::from(SeccompAction::Allow);
        let own_arch = long[1].k;
        let mut allowed = 0;
        for nr in (0..600).chain([0x4000_0000, u32::MAX]) {
            for argument in [0, 1, 2, 3, 5, 7, 8, u32::MAX] {
                // nr, arch, instruction pointer, then two words an argument.
                let mut data = [0; 16];
                (data[0], data[1], data[6]) = (nr, own_arch, argument);
                let expected = verdict(&long, &data);
                assert_eq!(verdict(&short, &data), expected, "{nr} {argument}");
                allowed += u32::from(expected == allow);
                data[1] = 0;
                assert_ne!(verdict(&short, &data), allow);
            }
        }
        assert_eq!(allowed, 7 * 8 + 3 + 4);
    }
}
