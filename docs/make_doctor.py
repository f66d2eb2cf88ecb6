"""Write docs/doctor.md: python docs/make_doctor.py"""

from pathlib import Path

from striate.doctor.reference import reference

if __name__ == "__main__":
    Path(__file__).with_name("doctor.md").write_text(reference(), encoding="utf-8")
