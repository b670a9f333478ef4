from collections.abc import Sequence

import pytest

from trainer.profiling.personal import personal


@pytest.mark.parametrize(
    ("header", "cells", "what"),
    [
        ("email", ["x"], "email addresses"),
        ("Kontakt", ["ann@example.org", "b@example.com", ""], "email addresses"),
        ("First Name", ["Ann"], "names"),
        ("customerName", ["Ann"], "names"),
        ("surname", ["Li"], "names"),
        ("Phone Number", ["030 1234567"], "phone numbers"),
        ("contact", ["+49 30 1234567", "+1 (555) 123-4567"], "phone numbers"),
        ("street address", ["Main Street 5"], "addresses"),
        ("ip", ["10.0.0.1"], "IP addresses"),
        ("account", ["DE89 3704 0044 0532 0130 00"], "bank accounts"),
        ("SSN", ["x"], "personal data"),
        ("patient_name", ["Pía Mora"], "names"),
        ("Nombre del cliente", ["Noa"], "names"),
        ("Apellidos", ["Soto"], "names"),
        ("Prénom", ["Noa"], "names"),
        ("Kundenname", ["Noa"], "names"),
        ("phone1", ["620329737"], "phone numbers"),
        ("Teléfono", ["645844233"], "phone numbers"),
        ("Handynummer", ["01701779698"], "phone numbers"),
        ("whatsapp", ["646557955"], "phone numbers"),
        ("Portable", ["06 92 41 66 68"], "phone numbers"),
        ("Dirección", ["Calle Mayor 1"], "addresses"),
        ("Anschrift", ["Hauptstr. 1"], "addresses"),
        ("Lieferadresse", ["Hauptstr. 1"], "addresses"),
        ("birth_date", ["1950-01-31"], "dates of birth"),
        ("Geburtsdatum", ["31.01.1950"], "dates of birth"),
        ("Fecha de nacimiento", ["31/01/1950"], "dates of birth"),
        ("DNI", ["35763778A"], "personal data"),
        ("Imię", ["Noa"], "names"),
        ("Nazwisko", ["Kowalski"], "names"),
        ("Příjmení", ["Novák"], "names"),
        ("Efternamn", ["Berg"], "names"),
        ("Etternavn", ["Berg"], "names"),
        ("Telefon komórkowy", ["601 234 567"], "phone numbers"),
        ("Ulica", ["Długa 1"], "addresses"),
        ("Data urodzenia", ["31.01.1950"], "dates of birth"),
        ("Fødselsdato", ["31.01.1950"], "dates of birth"),
        ("PESEL", ["50013112345"], "personal data"),
        ("birth year", ["1950"], None),
        ("Geburtsort", ["Köln"], None),
        ("nombre", ["3", "4"], None),
        ("filename", ["a.txt"], None),
        ("mobile sessions", ["12345678"], None),
        ("hotel", ["12345678"], None),
        ("address count", ["2"], None),
        ("product name", ["Shoe"], None),
        ("phone service", ["Yes", "No"], None),
        ("email opens", ["3", "4"], None),
        ("mobile", ["Android", "iOS"], None),
        ("city", ["Paris"], None),
    ],
)
def test_a_column_that_identifies_a_person_is_recognised(header: str, cells: Sequence[str], what: str | None) -> None:
    assert personal(header, dict.fromkeys(cells, 1)) == what
