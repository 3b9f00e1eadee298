//! The country of a recipient, for reports by country. Read on the writing thread, never on a worker.
//!
//! A table of calling codes instead of a library's patterns, which took a third of that thread. A test holds it against the library.

use std::sync::OnceLock;

use super::event::Text;
use crate::consent::{E164, Recipient};

/// Calling codes and their countries; where several share one, the largest.
const CALLING_CODES: &str = "7 RU 20 EG 27 ZA 30 GR 31 NL 32 BE 33 FR 34 ES 36 HU 39 IT 40 RO 41 CH 43 AT 44 GB 45 DK 46 SE \
    47 NO 48 PL 49 DE 51 PE 52 MX 53 CU 54 AR 55 BR 56 CL 57 CO 58 VE 60 MY 61 AU 62 ID 63 PH 64 NZ \
    65 SG 66 TH 81 JP 82 KR 84 VN 86 CN 90 TR 91 IN 92 PK 93 AF 94 LK 95 MM 98 IR 211 SS 212 MA 213 \
    DZ 216 TN 218 LY 220 GM 221 SN 222 MR 223 ML 224 GN 225 CI 226 BF 227 NE 228 TG 229 BJ 230 MU \
    231 LR 232 SL 233 GH 234 NG 235 TD 236 CF 237 CM 238 CV 239 ST 240 GQ 241 GA 242 CG 243 CD 244 \
    AO 245 GW 246 IO 247 AC 248 SC 249 SD 250 RW 251 ET 252 SO 253 DJ 254 KE 255 TZ 256 UG 257 BI \
    258 MZ 260 ZM 261 MG 262 RE 263 ZW 264 NA 265 MW 266 LS 267 BW 268 SZ 269 KM 290 SH 291 ER 297 \
    AW 298 FO 299 GL 350 GI 351 PT 352 LU 353 IE 354 IS 355 AL 356 MT 357 CY 358 FI 359 BG 370 LT \
    371 LV 372 EE 373 MD 374 AM 375 BY 376 AD 377 MC 378 SM 380 UA 381 RS 382 ME 383 XK 385 HR 386 \
    SI 387 BA 389 MK 420 CZ 421 SK 423 LI 500 FK 501 BZ 502 GT 503 SV 504 HN 505 NI 506 CR 507 PA \
    508 PM 509 HT 590 GP 591 BO 592 GY 593 EC 594 GF 595 PY 596 MQ 597 SR 598 UY 599 CW 670 TL 672 \
    NF 673 BN 674 NR 675 PG 676 TO 677 SB 678 VU 679 FJ 680 PW 681 WF 682 CK 683 NU 685 WS 686 KI \
    687 NC 688 TV 689 PF 690 TK 691 FM 692 MH 850 KP 852 HK 853 MO 855 KH 856 LA 880 BD 886 TW 960 \
    MV 961 LB 962 JO 963 SY 964 IQ 965 KW 966 SA 967 YE 968 OM 970 PS 971 AE 972 IL 973 BH 974 QA \
    975 BT 976 MN 977 NP 992 TJ 993 TM 994 AZ 995 GE 996 KG 998 UZ";

/// Beginnings that belong to a smaller country within a shared calling code. Sources: the national numbering plans, as libphonenumber has them.
const WITHIN: [(&str, &str); 52] = [
    ("447781", "GG"),
    ("447839", "GG"),
    ("4479111", "GG"),
    ("4479117", "GG"),
    ("441481", "GG"),
    ("441534", "JE"),
    ("447509", "JE"),
    ("4477003", "JE"),
    ("4477007", "JE"),
    ("4477008", "JE"),
    ("447797", "JE"),
    ("447829", "JE"),
    ("447937", "JE"),
    ("441624", "IM"),
    ("447524", "IM"),
    ("4474576", "IM"),
    ("447624", "IM"),
    ("3906698", "VA"),
    ("77", "KZ"),
    ("4779", "SJ"),
    ("6189162", "CC"),
    ("6185103", "CC"),
    ("6189164", "CX"),
    ("6185100", "CX"),
    ("2622689", "YT"),
    ("262269", "YT"),
    ("26263", "YT"),
    ("2627093", "YT"),
    ("2629398", "YT"),
    ("2629478", "YT"),
    ("2629769", "YT"),
    ("2908", "TA"),
    ("35818", "AX"),
    ("5993", "BQ"),
    ("5994", "BQ"),
    ("5997", "BQ"),
    ("59059027", "BL"),
    ("59059029", "BL"),
    ("59059051", "BL"),
    ("59059052", "BL"),
    ("59059087", "BL"),
    ("59059000", "MF"),
    ("59059007", "MF"),
    ("59059009", "MF"),
    ("59059013", "MF"),
    ("59059030", "MF"),
    ("59059043", "MF"),
    ("59059050", "MF"),
    ("59059056", "MF"),
    ("59059058", "MF"),
    ("59059077", "MF"),
    ("59059079", "MF"),
];

/// Area codes of the calling code 1; the United States share it with others.
const AREA_CODES: [(&str, &str); 25] = [
    ("AG", "268"),
    ("AI", "264"),
    ("AS", "684"),
    ("BB", "246"),
    ("BM", "441"),
    ("BS", "242"),
    (
        "CA",
        "204 226 236 249 250 257 263 273 289 306 343 354 365 367 368 382 403 416 418 428 431 437 438 \
         450 468 474 506 514 519 548 579 581 584 587 600 604 613 622 633 639 647 672 683 705 709 742 \
         753 778 780 782 807 819 825 867 873 879 902 905 942",
    ),
    ("DM", "767"),
    ("DO", "809 829 849"),
    ("GD", "473"),
    ("GU", "671"),
    ("JM", "658 876"),
    ("KN", "869"),
    ("KY", "345"),
    ("LC", "758"),
    ("MP", "670"),
    ("MS", "664"),
    ("PR", "787 939"),
    ("SX", "721"),
    ("TC", "649"),
    ("TT", "868"),
    (
        "US",
        "201 202 203 205 206 207 208 209 210 212 213 214 215 216 217 218 219 220 223 224 225 227 228 \
         229 231 234 235 239 240 248 251 252 253 254 256 260 262 267 269 270 272 274 276 279 281 283 \
         301 302 303 304 305 307 308 309 310 312 313 314 315 316 317 318 319 320 321 323 324 325 326 \
         327 329 330 331 332 334 336 337 339 341 346 347 350 351 352 353 360 361 363 364 369 380 385 \
         386 401 402 404 405 406 407 408 409 410 412 413 414 415 417 419 423 424 425 430 432 434 435 \
         440 442 443 445 447 448 458 463 464 469 470 472 475 478 479 480 484 500 501 502 503 504 505 \
         507 508 509 510 512 513 515 516 517 518 520 521 522 523 524 525 526 527 528 529 530 531 532 \
         533 534 539 540 541 544 551 557 559 561 562 563 564 566 567 570 571 572 573 574 575 577 580 \
         582 585 586 588 601 602 603 605 606 607 608 609 610 612 614 615 616 617 618 619 620 623 626 \
         628 629 630 631 636 640 641 645 646 650 651 656 657 659 660 661 662 667 669 678 680 681 682 \
         686 689 701 702 703 704 706 707 708 712 713 714 715 716 717 718 719 720 724 725 726 727 728 \
         730 731 732 734 737 738 740 743 747 748 754 757 760 762 763 765 769 770 771 772 773 774 775 \
         779 781 785 786 800 801 802 803 804 805 806 808 810 812 813 814 815 816 817 818 820 821 826 \
         828 830 831 832 833 835 838 839 840 843 844 845 847 848 850 854 855 856 857 858 859 860 862 \
         863 864 865 866 870 872 877 878 888 900 901 903 904 906 907 908 909 910 912 913 914 915 916 \
         917 918 919 920 925 928 929 930 931 934 936 937 938 940 941 943 945 947 948 949 951 952 954 \
         956 959 970 971 972 973 975 978 979 980 983 984 985 986 989",
    ),
    ("VC", "784"),
    ("VG", "284"),
    ("VI", "340"),
];

/// Two letters; `None` for a number that belongs to no country, to none in particular, or to no plan.
pub(super) fn of(recipient: &Recipient) -> Option<Text<2>> {
    match recipient {
        Recipient::Phone(number) => of_number(number),
        // A user id starts with its country. Source: Meta, "Business-scoped user IDs".
        Recipient::UserId(id) => Text::plain(id.danger_str().split_once('.')?.0),
        Recipient::Hashed(_) => None,
    }
}

fn of_number(number: &E164) -> Option<Text<2>> {
    static TABLES: OnceLock<Tables> = OnceLock::new();
    let tables = TABLES.get_or_init(Tables::build);
    let digits = number.bytes();
    if let Some(national) = digits.strip_prefix(b"1") {
        return tables.areas.get(first_three(national)?)?.country;
    }
    let code = tables.codes.get(first_three(digits)?)?;
    // Few codes have any, so that nearly no number is compared with them.
    let within = code.within.iter().find(|(prefix, _)| digits.starts_with(prefix));
    within.map_or(code.country, |(_, country)| Some(*country))
}

/// The first three digits as a number.
fn first_three(digits: &[u8]) -> Option<usize> {
    let (three, _) = digits.split_first_chunk::<3>()?;
    Some(three.iter().fold(0, |number, digit| number * 10 + usize::from(digit.wrapping_sub(b'0'))))
}

/// What begins with three digits.
#[derive(Clone, Default)]
struct Code {
    country: Option<Text<2>>,
    /// Longer beginnings that belong to smaller countries, in the order of [`WITHIN`].
    within: Vec<(&'static [u8], Text<2>)>,
}

/// Countries by the first three digits of a number, and of one within the calling code 1.
struct Tables {
    codes: Vec<Code>,
    areas: Vec<Code>,
}

impl Tables {
    fn build() -> Self {
        let mut tables = Self { codes: vec![Code::default(); 1000], areas: vec![Code::default(); 1000] };
        let mut words = CALLING_CODES.split_ascii_whitespace();
        while let (Some(code), Some(country)) = (words.next(), words.next()) {
            fill(&mut tables.codes, code, |entry| entry.country = Text::plain(country));
        }
        for (prefix, country) in WITHIN {
            let three = prefix.get(..3).unwrap_or(prefix);
            fill(&mut tables.codes, three, |entry| {
                entry.within.extend(Text::plain(country).map(|country| (prefix.as_bytes(), country)));
            });
        }
        for (country, areas) in AREA_CODES {
            for area in areas.split_ascii_whitespace() {
                fill(&mut tables.areas, area, |entry| entry.country = Text::plain(country));
            }
        }
        tables
    }
}

/// Changes what stands under every three digits that begin with a code.
fn fill(table: &mut [Code], code: &str, mut change: impl FnMut(&mut Code)) {
    for (three, entry) in table.iter_mut().enumerate() {
        if format!("{three:03}").starts_with(code) {
            change(entry);
        }
    }
}

#[cfg(test)]
mod tests {
    use rlibphonenumber::PHONE_NUMBER_UTIL;

    use super::*;

    fn of_text(recipient: &str) -> Option<String> {
        of(&Recipient::parse(recipient)?).map(|country| country.as_str().to_owned())
    }

    fn of_library(number: &str) -> Option<String> {
        let parsed = PHONE_NUMBER_UTIL.parse(number, None).ok()?;
        Some(parsed.get_region_code()?.as_region_str().as_str().to_owned())
    }

    #[test]
    fn numbers_and_user_ids_have_a_country() {
        for (recipient, country) in [
            ("+4915112345678", Some("DE")),
            ("+16502530000", Some("US")),
            ("+14165550123", Some("CA")),
            ("+77012345678", Some("KZ")),
            ("+525555500011", Some("MX")),
            ("+80012345678", None), // international freephone
            ("+99912345678", None), // no country has 999
            ("BR.ENT.13491208655302741918", Some("BR")),
        ] {
            assert_eq!(of_text(recipient).as_deref(), country, "{recipient}");
        }
    }

    #[test]
    fn every_area_code_and_calling_code_is_as_the_library_has_it() {
        let endings = ["2530000", "5550123", "3456789", "9876543"];
        for area in 200..1000 {
            let numbers = endings.map(|ending| format!("+1{area}{ending}"));
            let library = numbers.iter().find_map(|number| of_library(number));
            assert_eq!(of_text(&numbers[0]), library, "area code {area}");
        }
        for region in PHONE_NUMBER_UTIL.get_supported_regions() {
            let code = PHONE_NUMBER_UTIL.get_country_code_for_region(region).unwrap();
            let shared = PHONE_NUMBER_UTIL
                .get_supported_regions()
                .filter(|r| PHONE_NUMBER_UTIL.get_country_code_for_region(*r) == Some(code))
                .count()
                > 1;
            let number = format!("+{code}234567890");
            assert!(shared || of_text(&number) == of_library(&number), "{number}");
        }
    }

    #[test]
    fn every_beginning_within_a_shared_calling_code_is_as_the_library_has_it() {
        for (prefix, country) in WITHIN {
            let endings = ["1234567890", "0000000000", "9999999999", "5432109876"];
            let lengths = 1..=7;
            let mut numbers =
                lengths.flat_map(|n| endings.map(|ending| format!("+{prefix}{}", &ending[..n])));
            let valid = numbers.find_map(|number| of_library(&number));
            assert_eq!(valid.as_deref(), Some(country), "{prefix}");
        }
        for main in
            ["+442079460123", "+390612345678", "+4722123456", "+61291234567", "+74951234567", "+358401234567"]
        {
            assert_eq!(of_text(main), of_library(main), "{main}");
        }
    }
}
