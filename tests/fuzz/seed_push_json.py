#!/usr/bin/env python3
"""Seeds for fuzz_push_json."""
import os
import sys

SEEDS = {
    "camel": '{"series":[{"labels":[{"name":"__name__","value":"process_cpu"}],'
             '"samples":[{"rawProfile":"AAECAw==","ID":"x"}]}]}',
    "snake": '{"series":[{"samples":[{"raw_profile":"-_8"}],"annotations":null}],"x":[{}]}',
    "twice": '{"series":[],"series":[]}',
    "escapes": '{"series":[{"labels":[{"name":"\\u00e9\\ud83d\\ude00","value":"\\"\\\\"}]}]}',
}

if __name__ == "__main__":
    os.makedirs(sys.argv[1], exist_ok=True)
    for name, text in SEEDS.items():
        with open(os.path.join(sys.argv[1], name), "w", encoding="utf-8") as f:
            f.write(text)
