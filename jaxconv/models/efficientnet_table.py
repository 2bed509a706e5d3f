"""The rows of the families that block strings describe; timm's names, and the settings of `efficientnet.EfficientNet`.

`ARCHITECTURES` has the strings, a stage a line: EfficientNet (arXiv:1905.11946, table 1) and v2 (2104.00298, table
4), MobileNet v1 (1704.04861), v2 (1801.04381, table 2), v3 (1905.02244, tables 1 and 2) and v4 (2404.10518, tables 11
to 15), MnasNet (1807.11626), MixNet (1907.09595), FBNet (1812.03443, 2006.02049), LCNet (2109.15099), single-path NAS
(1904.02877), conditional convolutions (1904.04971). `PRUNED` has (inner, gate, outer) widths left by pruning
(2002.08258). A table, and longer than 300 lines for that.
"""

from typing import Any

ARCHITECTURES: dict[str, tuple[str, ...]] = {
    "b": (
        "ds_r1_k3_s1_e1_c16_se0.25",
        "ir_r2_k3_s2_e6_c24_se0.25",
        "ir_r2_k5_s2_e6_c40_se0.25",
        "ir_r3_k3_s2_e6_c80_se0.25",
        "ir_r3_k5_s1_e6_c112_se0.25",
        "ir_r4_k5_s2_e6_c192_se0.25",
        "ir_r1_k3_s1_e6_c320_se0.25",
    ),
    "experts": (
        "ds_r1_k3_s1_e1_c16_se0.25",
        "ir_r2_k3_s2_e6_c24_se0.25",
        "ir_r2_k5_s2_e6_c40_se0.25",
        "ir_r3_k3_s2_e6_c80_se0.25",
        "ir_r3_k5_s1_e6_c112_se0.25_cc4",
        "ir_r4_k5_s2_e6_c192_se0.25_cc4",
        "ir_r1_k3_s1_e6_c320_se0.25_cc4",
    ),
    "edge": (
        "er_r1_k3_s1_e4_c24_fc24_noskip",
        "er_r2_k3_s2_e8_c32",
        "er_r4_k3_s2_e8_c48",
        "ir_r5_k5_s2_e8_c96",
        "ir_r4_k5_s1_e8_c144",
        "ir_r2_k5_s2_e8_c192",
    ),
    "h": (
        "ds_r1_k3_s1_e1_c16_se0.25_d1",
        "er_r2_k3_s2_e4_c24_se0.25_nre",
        "er_r2_k5_s2_e4_c40_se0.25_nre",
        "ir_r3_k3_s2_e4_c80_se0.25",
        "ir_r3_k5_s1_e6_c112_se0.25",
        "ir_r4_k5_s2_e6_c192_se0.25",
        "ir_r1_k3_s1_e6_c320_se0.25",
    ),
    "lite": (
        "ds_r1_k3_s1_e1_c16",
        "ir_r2_k3_s2_e6_c24",
        "ir_r2_k5_s2_e6_c40",
        "ir_r3_k3_s2_e6_c80",
        "ir_r3_k5_s1_e6_c112",
        "ir_r4_k5_s2_e6_c192",
        "ir_r1_k3_s1_e6_c320",
    ),
    "x": (
        "ds_r1_k3_s1_e1_c16_se0.25_d1",
        "er_r2_k3_s2_e6_c24_se0.25_nre",
        "er_r2_k5_s2_e6_c40_se0.25_nre",
        "ir_r3_k3_s2_e6_c80_se0.25",
        "ir_r3_k5_s1_e6_c112_se0.25",
        "ir_r4_k5_s2_e6_c192_se0.25",
        "ir_r1_k3_s1_e6_c320_se0.25",
    ),
    "v2_l": (
        "cn_r4_k3_s1_e1_c32_skip",
        "er_r7_k3_s2_e4_c64",
        "er_r7_k3_s2_e4_c96",
        "ir_r10_k3_s2_e4_c192_se0.25",
        "ir_r19_k3_s1_e6_c224_se0.25",
        "ir_r25_k3_s2_e6_c384_se0.25",
        "ir_r7_k3_s1_e6_c640_se0.25",
    ),
    "v2_m": (
        "cn_r3_k3_s1_e1_c24_skip",
        "er_r5_k3_s2_e4_c48",
        "er_r5_k3_s2_e4_c80",
        "ir_r7_k3_s2_e4_c160_se0.25",
        "ir_r14_k3_s1_e6_c176_se0.25",
        "ir_r18_k3_s2_e6_c304_se0.25",
        "ir_r5_k3_s1_e6_c512_se0.25",
    ),
    "v2_rw": (
        "er_r2_k3_s1_e1_c24",
        "er_r4_k3_s2_e4_c48",
        "er_r4_k3_s2_e4_c64",
        "ir_r6_k3_s2_e4_c128_se0.25",
        "ir_r9_k3_s1_e6_c160_se0.25",
        "ir_r15_k3_s2_e6_c272_se0.25",
    ),
    "v2_s": (
        "cn_r2_k3_s1_e1_c24_skip",
        "er_r4_k3_s2_e4_c48",
        "er_r4_k3_s2_e4_c64",
        "ir_r6_k3_s2_e4_c128_se0.25",
        "ir_r9_k3_s1_e6_c160_se0.25",
        "ir_r15_k3_s2_e6_c256_se0.25",
    ),
    "v2_xl": (
        "cn_r4_k3_s1_e1_c32_skip",
        "er_r8_k3_s2_e4_c64",
        "er_r8_k3_s2_e4_c96",
        "ir_r16_k3_s2_e4_c192_se0.25",
        "ir_r24_k3_s1_e6_c256_se0.25",
        "ir_r32_k3_s2_e6_c512_se0.25",
        "ir_r8_k3_s1_e6_c640_se0.25",
    ),
    "fbnet_c": (
        "ir_r1_k3_s1_e1_c16",
        "ir_r1_k3_s2_e6_c24 ir_r2_k3_s1_e1_c24",
        "ir_r1_k5_s2_e6_c32 ir_r1_k5_s1_e3_c32 ir_r1_k5_s1_e6_c32 ir_r1_k3_s1_e6_c32",
        "ir_r1_k5_s2_e6_c64 ir_r1_k5_s1_e3_c64 ir_r2_k5_s1_e6_c64",
        "ir_r3_k5_s1_e6_c112 ir_r1_k5_s1_e3_c112",
        "ir_r4_k5_s2_e6_c184",
        "ir_r1_k3_s1_e6_c352",
    ),
    "mix_m": (
        "ds_r1_k3_s1_e1_c24",
        "ir_r1_k3.5.7_a1.1_p1.1_s2_e6_c32 ir_r1_k3_a1.1_p1.1_s1_e3_c32",
        "ir_r1_k3.5.7.9_s2_e6_c40_se0.5_nsw ir_r3_k3.5_a1.1_p1.1_s1_e6_c40_se0.5_nsw",
        "ir_r1_k3.5.7_s2_e6_c80_se0.25_nsw ir_r3_k3.5.7.9_a1.1_p1.1_s1_e6_c80_se0.25_nsw",
        "ir_r1_k3_s1_e6_c120_se0.5_nsw ir_r3_k3.5.7.9_a1.1_p1.1_s1_e3_c120_se0.5_nsw",
        "ir_r1_k3.5.7.9_s2_e6_c200_se0.5_nsw ir_r3_k3.5.7.9_p1.1_s1_e6_c200_se0.5_nsw",
    ),
    "mix_s": (
        "ds_r1_k3_s1_e1_c16",
        "ir_r1_k3_a1.1_p1.1_s2_e6_c24 ir_r1_k3_a1.1_p1.1_s1_e3_c24",
        "ir_r1_k3.5.7_s2_e6_c40_se0.5_nsw ir_r3_k3.5_a1.1_p1.1_s1_e6_c40_se0.5_nsw",
        "ir_r1_k3.5.7_p1.1_s2_e6_c80_se0.25_nsw ir_r2_k3.5_p1.1_s1_e6_c80_se0.25_nsw",
        "ir_r1_k3.5.7_a1.1_p1.1_s1_e6_c120_se0.5_nsw ir_r2_k3.5.7.9_a1.1_p1.1_s1_e3_c120_se0.5_nsw",
        "ir_r1_k3.5.7.9.11_s2_e6_c200_se0.5_nsw ir_r2_k3.5.7.9_p1.1_s1_e6_c200_se0.5_nsw",
    ),
    "mnas_a": (
        "ds_r1_k3_s1_c16_noskip",
        "ir_r3_k3_s2_e3_c24",
        "ir_r3_k5_s2_e3_c40",
        "ir_r3_k5_s2_e6_c80",
        "ir_r2_k3_s1_e6_c96",
        "ir_r4_k5_s2_e6_c192",
        "ir_r1_k3_s1_e6_c320_noskip",
    ),
    "mnas_small": (
        "ds_r1_k3_s1_c8",
        "ir_r1_k3_s2_e3_c16",
        "ir_r2_k3_s2_e6_c16",
        "ir_r4_k5_s2_e6_c32_se0.25",
        "ir_r3_k3_s1_e6_c32_se0.25",
        "ir_r3_k5_s2_e6_c88_se0.25",
        "ir_r1_k3_s1_e6_c144",
    ),
    "edge_m1": (
        "cn_r1_k1_s1_c16",
        "er_r1_k3_s2_e8_c32 er_r3_k3_s1_e4_c32",
        "er_r1_k3_s2_e8_c48 er_r3_k3_s1_e4_c48",
        "ir_r1_k3_s2_e8_c96 ir_r3_k3_s1_e4_c96",
        "ir_r1_k3_s1_e8_c96_noskip ir_r3_k3_s1_e4_c96",
        "ir_r1_k5_s2_e8_c160 ir_r3_k5_s1_e4_c160",
        "ir_r1_k3_s1_e8_c192",
    ),
    "edge_v2_l": (
        "cn_r1_k1_s1_c32",
        "er_r1_k3_s2_e8_c64 er_r1_k3_s1_e4_gs128_c64",
        "er_r1_k3_s2_e8_c96 er_r1_k3_s1_e4_gs128_c96 er_r1_k3_s1_e4_c96 er_r1_k3_s1_e4_gs128_c96",
        "er_r1_k3_s2_e8_c192 ir_r3_k3_s1_e4_c192",
        "ir_r1_k3_s1_e8_c240 ir_r3_k3_s1_e4_c240",
        "ir_r1_k3_s2_e8_c256 ir_r3_k3_s1_e4_c256",
        "ir_r1_k3_s1_e8_c384",
    ),
    "edge_v2_m": (
        "cn_r1_k1_s1_c32",
        "er_r1_k3_s2_e8_c64 er_r1_k3_s1_e4_gs64_c64",
        "er_r1_k3_s2_e8_c80 er_r1_k3_s1_e4_gs64_c80 er_r1_k3_s1_e4_c80 er_r1_k3_s1_e4_gs64_c80",
        "er_r1_k3_s2_e8_c160 ir_r3_k3_s1_e4_c160",
        "ir_r1_k3_s1_e8_c192 ir_r3_k3_s1_e4_c192",
        "ir_r1_k3_s2_e8_c240 ir_r3_k3_s1_e4_c240",
        "ir_r1_k3_s1_e8_c320",
    ),
    "edge_v2_s": (
        "cn_r1_k1_s1_c24",
        "er_r1_k3_s2_e8_c48 er_r1_k3_s1_e4_gs64_c48",
        "er_r1_k3_s2_e8_c64 er_r1_k3_s1_e4_gs64_c64 er_r1_k3_s1_e4_c64 er_r1_k3_s1_e4_gs64_c64",
        "er_r1_k3_s2_e8_c128 ir_r3_k3_s1_e4_c128",
        "ir_r1_k3_s1_e8_c160 ir_r3_k3_s1_e4_c160",
        "ir_r1_k3_s2_e8_c192 ir_r3_k3_s1_e4_c192",
        "ir_r1_k3_s1_e8_c256",
    ),
    "edge_v2_xs": (
        "cn_r1_k1_s1_c16",
        "er_r1_k3_s2_e8_c32 er_r1_k3_s1_e4_gs64_c32",
        "er_r1_k3_s2_e8_c48 er_r1_k3_s1_e4_gs64_c48 er_r1_k3_s1_e4_c48 er_r1_k3_s1_e4_gs64_c48",
        "er_r1_k3_s2_e8_c96 ir_r3_k3_s1_e4_c96",
        "ir_r1_k3_s1_e8_c144 ir_r3_k3_s1_e4_c144",
        "ir_r1_k3_s2_e8_c160 ir_r3_k3_s1_e4_c160",
        "ir_r1_k3_s1_e8_c192",
    ),
    "mobile_v1": (
        "dsa_r1_k3_s1_c64",
        "dsa_r2_k3_s2_c128",
        "dsa_r2_k3_s2_c256",
        "dsa_r6_k3_s2_c512",
        "dsa_r2_k3_s2_c1024",
    ),
    "mobile_v2": (
        "ds_r1_k3_s1_c16",
        "ir_r2_k3_s2_e6_c24",
        "ir_r3_k3_s2_e6_c32",
        "ir_r4_k3_s2_e6_c64",
        "ir_r3_k3_s1_e6_c96",
        "ir_r3_k3_s2_e6_c160",
        "ir_r1_k3_s1_e6_c320",
    ),
    "mnas_se": (
        "ds_r1_k3_s1_e1_c16_noskip",
        "ir_r2_k3_s2_e6_c24",
        "ir_r3_k5_s2_e3_c40_se0.25",
        "ir_r4_k3_s2_e6_c80",
        "ir_r2_k3_s1_e6_c112_se0.25",
        "ir_r3_k5_s2_e6_c160_se0.25",
        "ir_r1_k3_s1_e6_c320",
    ),
    "single_path": (
        "ds_r1_k3_s1_c16_noskip",
        "ir_r3_k3_s2_e3_c24",
        "ir_r1_k5_s2_e6_c40 ir_r3_k3_s1_e3_c40",
        "ir_r1_k5_s2_e6_c80 ir_r3_k3_s1_e3_c80",
        "ir_r1_k5_s1_e6_c96 ir_r3_k5_s1_e3_c96",
        "ir_r4_k5_s2_e6_c192",
        "ir_r1_k3_s1_e6_c320_noskip",
    ),
    "test": (
        "cn_r1_k3_s1_e1_c16_skip",
        "er_r1_k3_s2_e4_c24",
        "er_r1_k3_s2_e4_c32",
        "ir_r1_k3_s2_e4_c48_se0.25",
        "ir_r1_k3_s2_e4_c64_se0.25",
    ),
    "v2_b": (
        "cn_r1_k3_s1_e1_c16_skip",
        "er_r2_k3_s2_e4_c32",
        "er_r2_k3_s2_e4_c48",
        "ir_r3_k3_s2_e4_c96_se0.25",
        "ir_r5_k3_s1_e6_c112_se0.25",
        "ir_r8_k3_s2_e6_c192_se0.25",
    ),
    "fbnet_v3_b": (
        "ds_r2_k3_s1_e1_c16",
        "ir_r1_k5_s2_e4_c24 ir_r3_k5_s1_e2_c24",
        "ir_r1_k5_s2_e5_c40_se0.25 ir_r4_k5_s1_e3_c40_se0.25",
        "ir_r1_k5_s2_e5_c72 ir_r4_k3_s1_e3_c72",
        "ir_r1_k3_s1_e5_c120_se0.25 ir_r5_k5_s1_e3_c120_se0.25",
        "ir_r1_k3_s2_e6_c184_se0.25 ir_r5_k5_s1_e4_c184_se0.25 ir_r1_k5_s1_e6_c224_se0.25",
        "cn_r1_k1_s1_c1344",
    ),
    "fbnet_v3_d": (
        "ds_r2_k3_s1_e1_c16",
        "ir_r1_k3_s2_e5_c24 ir_r5_k3_s1_e2_c24",
        "ir_r1_k5_s2_e4_c40_se0.25 ir_r4_k3_s1_e3_c40_se0.25",
        "ir_r1_k3_s2_e5_c72 ir_r4_k3_s1_e3_c72",
        "ir_r1_k3_s1_e5_c128_se0.25 ir_r6_k5_s1_e3_c128_se0.25",
        "ir_r1_k3_s2_e6_c208_se0.25 ir_r5_k5_s1_e5_c208_se0.25 ir_r1_k5_s1_e6_c240_se0.25",
        "cn_r1_k1_s1_c1440",
    ),
    "fbnet_v3_g": (
        "ds_r3_k3_s1_e1_c24",
        "ir_r1_k5_s2_e4_c40 ir_r4_k5_s1_e2_c40",
        "ir_r1_k5_s2_e4_c56_se0.25 ir_r4_k5_s1_e3_c56_se0.25",
        "ir_r1_k5_s2_e5_c104 ir_r4_k3_s1_e3_c104",
        "ir_r1_k3_s1_e5_c160_se0.25 ir_r8_k5_s1_e3_c160_se0.25",
        "ir_r1_k3_s2_e6_c264_se0.25 ir_r6_k5_s1_e5_c264_se0.25 ir_r2_k5_s1_e6_c288_se0.25",
        "cn_r1_k1_s1_c1728",
    ),
    "lc": (
        "dsa_r1_k3_s1_c32",
        "dsa_r2_k3_s2_c64",
        "dsa_r2_k3_s2_c128",
        "dsa_r1_k3_s2_c256 dsa_r1_k5_s1_c256",
        "dsa_r4_k5_s1_c256",
        "dsa_r2_k5_s2_c512_se0.25",
    ),
    "mobile_v3_large": (
        "ds_r1_k3_s1_e1_c16_nre",
        "ir_r1_k3_s2_e4_c24_nre ir_r1_k3_s1_e3_c24_nre",
        "ir_r3_k5_s2_e3_c40_se0.25_nre",
        "ir_r1_k3_s2_e6_c80 ir_r1_k3_s1_e2.5_c80 ir_r2_k3_s1_e2.3_c80",
        "ir_r2_k3_s1_e6_c112_se0.25",
        "ir_r3_k5_s2_e6_c160_se0.25",
        "cn_r1_k1_s1_c960",
    ),
    "mobile_v3_rw": (
        "ds_r1_k3_s1_e1_c16_nre_noskip",
        "ir_r1_k3_s2_e4_c24_nre ir_r1_k3_s1_e3_c24_nre",
        "ir_r3_k5_s2_e3_c40_se0.25_nre",
        "ir_r1_k3_s2_e6_c80 ir_r1_k3_s1_e2.5_c80 ir_r2_k3_s1_e2.3_c80",
        "ir_r2_k3_s1_e6_c112_se0.25",
        "ir_r3_k5_s2_e6_c160_se0.25",
        "cn_r1_k1_s1_c960",
    ),
    "mobile_v3_small": (
        "ds_r1_k3_s2_e1_c16_se0.25_nre",
        "ir_r1_k3_s2_e4.5_c24_nre ir_r1_k3_s1_e3.67_c24_nre",
        "ir_r1_k5_s2_e4_c40_se0.25 ir_r2_k5_s1_e6_c40_se0.25",
        "ir_r2_k5_s1_e3_c48_se0.25",
        "ir_r3_k5_s2_e6_c96_se0.25",
        "cn_r1_k1_s1_c576",
    ),
    "mobile_v4_large": (
        "er_r1_k3_s2_e4_c48",
        "uir_r1_a3_k5_s2_e4_c96 uir_r1_a3_k3_s1_e4_c96",
        "uir_r1_a3_k5_s2_e4_c192 uir_r3_a3_k3_s1_e4_c192 uir_r1_a3_k5_s1_e4_c192 uir_r5_a5_k3_s1_e4_c192 "
        "uir_r1_a3_k0_s1_e4_c192",
        "uir_r4_a5_k5_s2_e4_c512 uir_r1_a5_k0_s1_e4_c512 uir_r1_a5_k3_s1_e4_c512 uir_r2_a5_k0_s1_e4_c512 "
        "uir_r1_a5_k3_s1_e4_c512 uir_r1_a5_k5_s1_e4_c512 uir_r3_a5_k0_s1_e4_c512",
        "cn_r1_k1_s1_c960",
    ),
    "mobile_v4_medium": (
        "er_r1_k3_s2_e4_c48",
        "uir_r1_a3_k5_s2_e4_c80 uir_r1_a3_k3_s1_e2_c80",
        "uir_r1_a3_k5_s2_e6_c160 uir_r2_a3_k3_s1_e4_c160 uir_r1_a3_k5_s1_e4_c160 uir_r1_a3_k3_s1_e4_c160 "
        "uir_r1_a3_k0_s1_e4_c160 uir_r1_a0_k0_s1_e2_c160 uir_r1_a3_k0_s1_e4_c160",
        "uir_r1_a5_k5_s2_e6_c256 uir_r1_a5_k5_s1_e4_c256 uir_r2_a3_k5_s1_e4_c256 uir_r1_a0_k0_s1_e4_c256 "
        "uir_r1_a3_k0_s1_e4_c256 uir_r1_a3_k5_s1_e2_c256 uir_r1_a5_k5_s1_e4_c256 uir_r2_a0_k0_s1_e4_c256 "
        "uir_r1_a5_k0_s1_e2_c256",
        "cn_r1_k1_s1_c960",
    ),
    "mobile_v4_small": (
        "cn_r1_k3_s2_e1_c32 cn_r1_k1_s1_e1_c32",
        "cn_r1_k3_s2_e1_c96 cn_r1_k1_s1_e1_c64",
        "uir_r1_a5_k5_s2_e3_c96 uir_r4_a0_k3_s1_e2_c96 uir_r1_a3_k0_s1_e4_c96",
        "uir_r1_a3_k3_s2_e6_c128 uir_r1_a5_k5_s1_e4_c128 uir_r1_a0_k5_s1_e4_c128 uir_r1_a0_k5_s1_e3_c128 "
        "uir_r2_a0_k3_s1_e4_c128",
        "cn_r1_k1_s1_c960",
    ),
    "mobile_v4_hybrid_large": (
        "er_r1_k3_s2_e4_c48",
        "uir_r1_a3_k5_s2_e4_c96 uir_r1_a3_k3_s1_e4_c96",
        "uir_r1_a3_k5_s2_e4_c192 uir_r3_a3_k3_s1_e4_c192 uir_r1_a3_k5_s1_e4_c192 uir_r2_a5_k3_s1_e4_c192 "
        "mqa_r1_k3_h8_s1_v2_d48_c192 uir_r1_a5_k3_s1_e4_c192 mqa_r1_k3_h8_s1_v2_d48_c192 "
        "uir_r1_a5_k3_s1_e4_c192 mqa_r1_k3_h8_s1_v2_d48_c192 uir_r1_a5_k3_s1_e4_c192 "
        "mqa_r1_k3_h8_s1_v2_d48_c192 uir_r1_a3_k0_s1_e4_c192",
        "uir_r4_a5_k5_s2_e4_c512 uir_r1_a5_k0_s1_e4_c512 uir_r1_a5_k3_s1_e4_c512 uir_r2_a5_k0_s1_e4_c512 "
        "uir_r1_a5_k3_s1_e4_c512 uir_r1_a5_k5_s1_e4_c512 mqa_r1_k3_h8_s1_d64_c512 uir_r1_a5_k0_s1_e4_c512 "
        "mqa_r1_k3_h8_s1_d64_c512 uir_r1_a5_k0_s1_e4_c512 mqa_r1_k3_h8_s1_d64_c512 uir_r1_a5_k0_s1_e4_c512 "
        "mqa_r1_k3_h8_s1_d64_c512 uir_r1_a5_k0_s1_e4_c512",
        "cn_r1_k1_s1_c960",
    ),
    "mobile_v4_hybrid_medium": (
        "er_r1_k3_s2_e4_c48",
        "uir_r1_a3_k5_s2_e4_c80 uir_r1_a3_k3_s1_e2_c80",
        "uir_r1_a3_k5_s2_e6_c160 uir_r1_a0_k0_s1_e2_c160 uir_r1_a3_k3_s1_e4_c160 uir_r1_a3_k5_s1_e4_c160 "
        "mqa_r1_k3_h4_s1_v2_d64_c160 uir_r1_a3_k3_s1_e4_c160 mqa_r1_k3_h4_s1_v2_d64_c160 "
        "uir_r1_a3_k0_s1_e4_c160 mqa_r1_k3_h4_s1_v2_d64_c160 uir_r1_a3_k3_s1_e4_c160 "
        "mqa_r1_k3_h4_s1_v2_d64_c160 uir_r1_a3_k0_s1_e4_c160",
        "uir_r1_a5_k5_s2_e6_c256 uir_r1_a5_k5_s1_e4_c256 uir_r2_a3_k5_s1_e4_c256 uir_r1_a0_k0_s1_e2_c256 "
        "uir_r1_a3_k5_s1_e2_c256 uir_r1_a0_k0_s1_e2_c256 uir_r1_a0_k0_s1_e4_c256 mqa_r1_k3_h4_s1_d64_c256 "
        "uir_r1_a3_k0_s1_e4_c256 mqa_r1_k3_h4_s1_d64_c256 uir_r1_a5_k5_s1_e4_c256 mqa_r1_k3_h4_s1_d64_c256 "
        "uir_r1_a5_k0_s1_e4_c256 mqa_r1_k3_h4_s1_d64_c256 uir_r1_a5_k0_s1_e4_c256",
        "cn_r1_k1_s1_c960",
    ),
    "mobile_v3_large_minimal": (
        "ds_r1_k3_s1_e1_c16",
        "ir_r1_k3_s2_e4_c24 ir_r1_k3_s1_e3_c24",
        "ir_r3_k3_s2_e3_c40",
        "ir_r1_k3_s2_e6_c80 ir_r1_k3_s1_e2.5_c80 ir_r2_k3_s1_e2.3_c80",
        "ir_r2_k3_s1_e6_c112",
        "ir_r3_k3_s2_e6_c160",
        "cn_r1_k1_s1_c960",
    ),
    "mobile_v3_small_minimal": (
        "ds_r1_k3_s2_e1_c16",
        "ir_r1_k3_s2_e4.5_c24 ir_r1_k3_s1_e3.67_c24",
        "ir_r1_k3_s2_e4_c40 ir_r2_k3_s1_e6_c40",
        "ir_r2_k3_s1_e3_c48",
        "ir_r3_k3_s2_e6_c96",
        "cn_r1_k1_s1_c576",
    ),
}


def _style(**settings: Any) -> tuple[tuple[str, Any], ...]:
    """Settings of `mobile_parts.Style`, hashable."""
    return tuple(settings.items())


RELU, RELU_SAME = _style(), _style(same=True)
RELU6, RELU6_SAME = _style(act="relu6"), _style(act="relu6", same=True)
SILU, SILU_SAME = _style(act="silu"), _style(act="silu", same=True)
_HARD = {"act": "hard_swish", "gate_function": "hard_sigmoid"}
_V3 = {**_HARD, "gate_act": "relu", "gate_divisor": 8, "gate_inside": True}
V3, V3_SAME, LC = _style(**_V3), _style(**_V3, same=True), _style(**_HARD, gate_act="relu", gate_inside=True)
MINIMAL = _style(**_V3 | {"act": "relu"}, same=True)
V4 = _style(gate_inside=True)
V4_HYBRID = _style(gate_inside=True, layer_scale=1e-5)
V4_HYBRID_GELU = _style(act="gelu", gate_inside=True, layer_scale=1e-5)
FB_V3 = _style(**_HARD, gate_divisor=8, gate_kept=0.95)


def _row(architecture: str, style: tuple[tuple[str, Any], ...], **settings: Any) -> dict[str, Any]:
    return {"blocks": ARCHITECTURES[architecture], "style": style, **settings}


def _late(architecture: str, style: tuple[tuple[str, Any], ...], **settings: Any) -> dict[str, Any]:
    """A network whose last pointwise convolution stands after the pool: MobileNet v3 and its kin."""
    return _row(architecture, style, **{"stem": 16, "late": True} | settings)


def _v4(architecture: str, style: tuple[tuple[str, Any], ...] = V4, **settings: Any) -> dict[str, Any]:
    """MobileNet v4: a norm after that convolution."""
    return _row(architecture, style, late=True, head_norm=True, **settings)


TABLE: dict[str, dict[str, Any]] = {
    "efficientnet_b0": _row("b", SILU),
    "efficientnet_b0_g8_gn": _row("b", SILU, group_size=8, norm="group", norm_group=8),
    "efficientnet_b0_g16_evos": _row("b", SILU, group_size=16, divisor=16),
    "efficientnet_b0_gn": _row("b", SILU, norm="group", norm_group=8),
    "efficientnet_b1": _row("b", SILU, depth=1.1),
    "efficientnet_b1_pruned": _row("b", SILU_SAME, depth=1.1, epsilon=0.001, pruned="efficientnet_b1_pruned"),
    "efficientnet_b2": _row("b", SILU, width=1.1, depth=1.2, features_out=1408),
    "efficientnet_b2_pruned": _row(
        "b", SILU_SAME, width=1.1, depth=1.2, features_out=1408, epsilon=0.001, pruned="efficientnet_b2_pruned"
    ),
    "efficientnet_b3": _row("b", SILU, width=1.2, depth=1.4, features_out=1536),
    "efficientnet_b3_g8_gn": _row(
        "b", SILU, width=1.2, depth=1.4, group_size=8, divisor=16, features_out=1536, norm="group", norm_group=16
    ),
    "efficientnet_b3_gn": _row(
        "b", SILU, width=1.2, depth=1.4, divisor=16, features_out=1536, norm="group", norm_group=16
    ),
    "efficientnet_b3_pruned": _row(
        "b", SILU_SAME, width=1.2, depth=1.4, features_out=1536, epsilon=0.001, pruned="efficientnet_b3_pruned"
    ),
    "efficientnet_b4": _row("b", SILU, width=1.4, depth=1.8, features_out=1792),
    "efficientnet_b5": _row("b", SILU, width=1.6, depth=2.2, features_out=2048),
    "efficientnet_b6": _row("b", SILU, width=1.8, depth=2.6, features_out=2304),
    "efficientnet_b7": _row("b", SILU, width=2.0, depth=3.1, features_out=2560),
    "efficientnet_b8": _row("b", SILU, width=2.2, depth=3.6, features_out=2816),
    "efficientnet_blur_b0": _row("b", _style(act="silu", smoothing="blur")),
    "efficientnet_l2": _row("b", SILU, width=4.3, depth=5.3, features_out=5504),
    "tf_efficientnet_b0": _row("b", SILU_SAME, epsilon=0.001),
    "tf_efficientnet_b1": _row("b", SILU_SAME, depth=1.1, epsilon=0.001),
    "tf_efficientnet_b2": _row("b", SILU_SAME, width=1.1, depth=1.2, features_out=1408, epsilon=0.001),
    "tf_efficientnet_b3": _row("b", SILU_SAME, width=1.2, depth=1.4, features_out=1536, epsilon=0.001),
    "tf_efficientnet_b4": _row("b", SILU_SAME, width=1.4, depth=1.8, features_out=1792, epsilon=0.001),
    "tf_efficientnet_b5": _row("b", SILU_SAME, width=1.6, depth=2.2, features_out=2048, epsilon=0.001),
    "tf_efficientnet_b6": _row("b", SILU_SAME, width=1.8, depth=2.6, features_out=2304, epsilon=0.001),
    "tf_efficientnet_b7": _row("b", SILU_SAME, width=2.0, depth=3.1, features_out=2560, epsilon=0.001),
    "tf_efficientnet_b8": _row("b", SILU_SAME, width=2.2, depth=3.6, features_out=2816, epsilon=0.001),
    "tf_efficientnet_l2": _row("b", SILU_SAME, width=4.3, depth=5.3, features_out=5504, epsilon=0.001),
    "tinynet_a": _row("b", SILU, depth=1.2, rounded=True, fix_stem=True),
    "tinynet_b": _row("b", SILU, width=0.75, depth=1.1, rounded=True, fix_stem=True),
    "tinynet_c": _row("b", SILU, width=0.54, depth=0.85, rounded=True, fix_stem=True),
    "tinynet_d": _row("b", SILU, width=0.54, depth=0.695, rounded=True, fix_stem=True),
    "tinynet_e": _row("b", SILU, width=0.51, depth=0.6, rounded=True, fix_stem=True),
    "efficientnet_cc_b0_4e": _row("experts", SILU),
    "efficientnet_cc_b0_8e": _row("experts", SILU, experts=2),
    "efficientnet_cc_b1_8e": _row("experts", SILU, depth=1.1, experts=2),
    "tf_efficientnet_cc_b0_4e": _row("experts", SILU_SAME, epsilon=0.001),
    "tf_efficientnet_cc_b0_8e": _row("experts", SILU_SAME, experts=2, epsilon=0.001),
    "tf_efficientnet_cc_b1_8e": _row("experts", SILU_SAME, depth=1.1, experts=2, epsilon=0.001),
    "efficientnet_el": _row("edge", RELU, width=1.2, depth=1.4, features_out=1536),
    "efficientnet_el_pruned": _row("edge", RELU, width=1.2, depth=1.4, features_out=1536),
    "efficientnet_em": _row("edge", RELU, depth=1.1),
    "efficientnet_es": _row("edge", RELU),
    "efficientnet_es_pruned": _row("edge", RELU),
    "tf_efficientnet_el": _row("edge", RELU_SAME, width=1.2, depth=1.4, features_out=1536, epsilon=0.001),
    "tf_efficientnet_em": _row("edge", RELU_SAME, depth=1.1, epsilon=0.001),
    "tf_efficientnet_es": _row("edge", RELU_SAME, epsilon=0.001),
    "efficientnet_h_b5": _row("h", SILU, width=1.92, depth=2.2, features_out=2456),
    "efficientnet_lite0": _row("lite", RELU6, keep_ends=True, fix_stem=True),
    "efficientnet_lite1": _row("lite", RELU6, depth=1.1, keep_ends=True, fix_stem=True),
    "efficientnet_lite2": _row("lite", RELU6, width=1.1, depth=1.2, keep_ends=True, fix_stem=True),
    "efficientnet_lite3": _row("lite", RELU6, width=1.2, depth=1.4, keep_ends=True, fix_stem=True),
    "efficientnet_lite4": _row("lite", RELU6, width=1.4, depth=1.8, keep_ends=True, fix_stem=True),
    "tf_efficientnet_lite0": _row("lite", RELU6_SAME, keep_ends=True, fix_stem=True, epsilon=0.001),
    "tf_efficientnet_lite1": _row("lite", RELU6_SAME, depth=1.1, keep_ends=True, fix_stem=True, epsilon=0.001),
    "tf_efficientnet_lite2": _row(
        "lite", RELU6_SAME, width=1.1, depth=1.2, keep_ends=True, fix_stem=True, epsilon=0.001
    ),
    "tf_efficientnet_lite3": _row(
        "lite", RELU6_SAME, width=1.2, depth=1.4, keep_ends=True, fix_stem=True, epsilon=0.001
    ),
    "tf_efficientnet_lite4": _row(
        "lite", RELU6_SAME, width=1.4, depth=1.8, keep_ends=True, fix_stem=True, epsilon=0.001
    ),
    "efficientnet_x_b3": _row("x", SILU, width=1.2, depth=1.4, features_out=1536),
    "efficientnet_x_b5": _row("x", SILU, width=1.6, depth=2.2, features_out=2048),
    "efficientnetv2_l": _row("v2_l", SILU),
    "tf_efficientnetv2_l": _row("v2_l", SILU_SAME, epsilon=0.001),
    "efficientnetv2_m": _row("v2_m", SILU, stem=24),
    "tf_efficientnetv2_m": _row("v2_m", SILU_SAME, stem=24, epsilon=0.001),
    "efficientnetv2_rw_m": _row(
        "v2_rw", SILU, width=1.2, depth=(1.2, 1.2, 1.2, 1.2, 1.6, 1.6), stem=24, features_out=2152
    ),
    "efficientnetv2_rw_s": _row("v2_rw", SILU, stem=24, features_out=1792),
    "efficientnetv2_rw_t": _row("v2_s", SILU, width=0.8, depth=0.9, stem=24, features_out=1024),
    "efficientnetv2_s": _row("v2_s", SILU, stem=24),
    "gc_efficientnetv2_rw_t": _row(
        "v2_s", _style(act="silu", gate="gc"), width=0.8, depth=0.9, stem=24, features_out=1024
    ),
    "tf_efficientnetv2_s": _row("v2_s", SILU_SAME, stem=24, epsilon=0.001),
    "efficientnetv2_xl": _row("v2_xl", SILU),
    "tf_efficientnetv2_xl": _row("v2_xl", SILU_SAME, epsilon=0.001),
    "fbnetc_100": _row("fbnet_c", RELU, stem=16, features_out=1984),
    "mixnet_l": _row("mix_m", RELU, width=1.3, rounded=True, stem=24, features_out=1536),
    "mixnet_m": _row("mix_m", RELU, rounded=True, stem=24, features_out=1536),
    "mixnet_xl": _row("mix_m", RELU, width=1.6, depth=1.2, rounded=True, stem=24, features_out=1536),
    "mixnet_xxl": _row("mix_m", RELU, width=2.4, depth=1.3, rounded=True, stem=24, features_out=1536),
    "tf_mixnet_l": _row("mix_m", RELU_SAME, width=1.3, rounded=True, stem=24, features_out=1536, epsilon=0.001),
    "tf_mixnet_m": _row("mix_m", RELU_SAME, rounded=True, stem=24, features_out=1536, epsilon=0.001),
    "mixnet_s": _row("mix_s", RELU, stem=16, features_out=1536),
    "tf_mixnet_s": _row("mix_s", RELU_SAME, stem=16, features_out=1536, epsilon=0.001),
    "mnasnet_050": _row("mnas_a", RELU, width=0.5),
    "mnasnet_075": _row("mnas_a", RELU, width=0.75),
    "mnasnet_100": _row("mnas_a", RELU),
    "mnasnet_140": _row("mnas_a", RELU, width=1.4),
    "mnasnet_small": _row("mnas_small", RELU, stem=8),
    "mobilenet_edgetpu_100": _row("edge_m1", RELU),
    "mobilenet_edgetpu_v2_l": _row("edge_v2_l", RELU, stem=64, stem_window=7, features_out=1408),
    "mobilenet_edgetpu_v2_m": _row("edge_v2_m", RELU, stem=64, stem_window=5, features_out=1344),
    "mobilenet_edgetpu_v2_s": _row("edge_v2_s", RELU, stem=64, stem_window=5),
    "mobilenet_edgetpu_v2_xs": _row("edge_v2_xs", RELU),
    "mobilenetv1_100": _row("mobile_v1", RELU6, features_out=0),
    "mobilenetv1_100h": _row("mobile_v1", RELU6, features_out=1024),
    "mobilenetv1_125": _row("mobile_v1", RELU6, width=1.25, features_out=0),
    "mobilenetv2_035": _row("mobile_v2", RELU6, width=0.35),
    "mobilenetv2_050": _row("mobile_v2", RELU6, width=0.5),
    "mobilenetv2_075": _row("mobile_v2", RELU6, width=0.75),
    "mobilenetv2_100": _row("mobile_v2", RELU6),
    "mobilenetv2_110d": _row("mobile_v2", RELU6, width=1.1, depth=1.2, keep_ends=True, fix_stem=True),
    "mobilenetv2_120d": _row("mobile_v2", RELU6, width=1.2, depth=1.4, keep_ends=True, fix_stem=True),
    "mobilenetv2_140": _row("mobile_v2", RELU6, width=1.4, features_out=1792),
    "semnasnet_050": _row("mnas_se", RELU, width=0.5),
    "semnasnet_075": _row("mnas_se", RELU, width=0.75),
    "semnasnet_100": _row("mnas_se", RELU),
    "semnasnet_140": _row("mnas_se", RELU, width=1.4),
    "spnasnet_100": _row("single_path", RELU),
    "test_efficientnet": _row("test", SILU, kept=0.0, stem=24, features_out=256),
    "test_efficientnet_evos": _row("test", SILU, kept=0.0, stem=24, features_out=256, norm="evo", norm_group=8),
    "test_efficientnet_gn": _row("test", SILU, kept=0.0, stem=24, features_out=256, norm="group", norm_group=8),
    "test_efficientnet_ln": _row("test", SILU, kept=0.0, stem=24, features_out=256, norm="layer"),
    "tf_efficientnetv2_b0": _row("v2_b", SILU_SAME, kept=0.0, epsilon=0.001),
    "tf_efficientnetv2_b1": _row("v2_b", SILU_SAME, depth=1.1, kept=0.0, epsilon=0.001),
    "tf_efficientnetv2_b2": _row("v2_b", SILU_SAME, width=1.1, depth=1.2, kept=0.0, features_out=1408, epsilon=0.001),
    "tf_efficientnetv2_b3": _row("v2_b", SILU_SAME, width=1.2, depth=1.4, kept=0.0, features_out=1536, epsilon=0.001),
}
LATE: dict[str, dict[str, Any]] = {
    "fbnetv3_b": _late("fbnet_v3_b", FB_V3, kept=0.95, features_out=1984, head_bias=False),
    "fbnetv3_d": _late("fbnet_v3_d", FB_V3, kept=0.95, stem=24, features_out=1984, head_bias=False),
    "fbnetv3_g": _late("fbnet_v3_g", FB_V3, kept=0.95, features_out=1984, head_bias=False, stem=32),
    "lcnet_035": _late("lc", LC, width=0.35),
    "lcnet_050": _late("lc", LC, width=0.5),
    "lcnet_075": _late("lc", LC, width=0.75),
    "lcnet_100": _late("lc", LC),
    "lcnet_150": _late("lc", LC, width=1.5),
    "mobilenetv3_large_075": _late("mobile_v3_large", V3, width=0.75),
    "mobilenetv3_large_100": _late("mobile_v3_large", V3),
    "mobilenetv3_large_150d": _late("mobile_v3_large", V3, width=1.5, depth=1.2),
    "tf_mobilenetv3_large_075": _late("mobile_v3_large", V3_SAME, width=0.75, epsilon=0.001),
    "tf_mobilenetv3_large_100": _late("mobile_v3_large", V3_SAME, epsilon=0.001),
    "mobilenetv3_rw": _late(
        "mobile_v3_rw",
        _style(act="hard_swish", gate_function="hard_sigmoid", gate_inside=True),
        epsilon=0.001,
        head_bias=False,
    ),
    "mobilenetv3_small_050": _late("mobile_v3_small", V3, width=0.5, fix_stem=True, features_out=1024),
    "mobilenetv3_small_075": _late("mobile_v3_small", V3, width=0.75, features_out=1024),
    "mobilenetv3_small_100": _late("mobile_v3_small", V3, features_out=1024),
    "tf_mobilenetv3_small_075": _late("mobile_v3_small", V3_SAME, width=0.75, features_out=1024, epsilon=0.001),
    "tf_mobilenetv3_small_100": _late("mobile_v3_small", V3_SAME, features_out=1024, epsilon=0.001),
    "mobilenetv4_conv_aa_large": _v4("mobile_v4_large", _style(smoothing="avg", gate_inside=True), stem=24),
    "mobilenetv4_conv_large": _v4("mobile_v4_large", stem=24),
    "mobilenetv4_conv_aa_medium": _v4("mobile_v4_medium", _style(smoothing="avg", gate_inside=True)),
    "mobilenetv4_conv_blur_medium": _v4("mobile_v4_medium", _style(smoothing="blur", gate_inside=True)),
    "mobilenetv4_conv_medium": _v4("mobile_v4_medium"),
    "mobilenetv4_conv_small": _v4("mobile_v4_small"),
    "mobilenetv4_conv_small_035": _v4("mobile_v4_small", width=0.35, fix_stem=True),
    "mobilenetv4_conv_small_050": _v4("mobile_v4_small", width=0.5, fix_stem=True),
    "mobilenetv4_hybrid_large": _v4("mobile_v4_hybrid_large", V4_HYBRID_GELU, stem=24),
    "mobilenetv4_hybrid_large_075": _v4("mobile_v4_hybrid_large", V4_HYBRID_GELU, width=0.75, stem=24, fix_stem=True),
    "mobilenetv4_hybrid_medium": _v4("mobile_v4_hybrid_medium", V4_HYBRID),
    "mobilenetv4_hybrid_medium_075": _v4("mobile_v4_hybrid_medium", V4_HYBRID, width=0.75, fix_stem=True),
    "tf_mobilenetv3_large_minimal_100": _late("mobile_v3_large_minimal", MINIMAL, epsilon=0.001),
    "tf_mobilenetv3_small_minimal_100": _late("mobile_v3_small_minimal", MINIMAL, features_out=1024, epsilon=0.001),
}
PRUNED: dict[str, tuple[tuple[tuple[int, int, int], ...], ...]] = {
    "efficientnet_b1_pruned": (
        ((32, 8, 16), (16, 4, 16)),
        ((48, 4, 12), (62, 6, 12), (48, 6, 12)),
        ((70, 6, 35), (61, 10, 35), (51, 10, 35)),
        ((175, 10, 74), (188, 20, 74), (137, 20, 74), (164, 20, 74)),
        ((399, 20, 67), (201, 28, 67), (160, 28, 67), (213, 28, 67)),
        ((637, 27, 192), (806, 48, 192), (798, 48, 192), (891, 48, 192), (990, 48, 192)),
        ((1152, 48, 320), (1912, 80, 320)),
    ),
    "efficientnet_b2_pruned": (
        ((32, 8, 16), (16, 4, 16)),
        ((54, 4, 17), (69, 6, 17), (61, 6, 17)),
        ((86, 6, 42), (72, 12, 42), (98, 12, 42)),
        ((245, 12, 85), (274, 22, 85), (254, 22, 85), (292, 22, 85)),
        ((502, 22, 116), (315, 30, 116), (354, 30, 116), (443, 30, 116)),
        ((719, 30, 208), (1148, 52, 208), (1160, 52, 208), (1182, 52, 208), (1228, 52, 208)),
        ((1248, 52, 352), (2112, 88, 352)),
    ),
    "efficientnet_b3_pruned": (
        ((40, 10, 24), (24, 6, 24)),
        ((27, 6, 12), (49, 8, 12), (48, 8, 12)),
        ((83, 8, 40), (90, 12, 40), (85, 12, 40)),
        ((215, 12, 93), (261, 24, 93), (219, 24, 93), (254, 24, 93), (236, 24, 93)),
        ((480, 24, 120), (235, 34, 120), (217, 34, 120), (226, 33, 120), (340, 34, 120)),
        ((802, 34, 232), (1030, 58, 232), (924, 58, 232), (1016, 58, 232), (1130, 58, 232), (1266, 58, 232)),
        ((1392, 58, 384), (2301, 96, 384)),
    ),
}
