mod common;
#[test]
fn dump() {
    for c in common::all() {
        let r = match c.tool() {
            "iperf" => readings::iperf::read(&c.output()),
            "iperf3" => readings::iperf3::read(&c.output()),
            _ => continue,
        };
        println!("    ({:?}, {:?}),", c.name(), common::throughput::told(&r));
        if let Ok(r) = &r {
            for w in &r.warnings {
                println!("//        W {w}");
            }
            if let Some(p) = &r.problem {
                println!("//        P {}", p.text);
            }
        }
    }
}
#[test]
fn extra() {
    let mut names: Vec<_> = std::fs::read_dir("/tmp/ipf")
        .unwrap()
        .map(|e| e.unwrap().path())
        .filter(|p| p.extension().is_some_and(|e| e == "out"))
        .collect();
    names.sort();
    for p in names {
        let out = std::fs::read(&p).unwrap();
        let err = std::fs::read(p.with_extension("err")).unwrap_or_default();
        let o = readings::Output { stdout: &out, stderr: &err, end: readings::End::Exited(0) };
        let three = String::from_utf8_lossy(&out).contains("Connecting to host")
            || out.first() == Some(&b'{')
            || p.to_string_lossy().contains("cross3");
        let r = if three { readings::iperf3::read(&o) } else { readings::iperf::read(&o) };
        println!("XX {:?} {}", p.file_stem().unwrap(), common::throughput::told(&r));
        if let Ok(r) = &r {
            for w in r.warnings.iter().take(3) {
                println!("//        W {w}");
            }
            if let Some(p) = &r.problem {
                println!("//        P {}", p.text);
            }
        }
    }
}
