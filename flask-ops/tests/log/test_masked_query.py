from __future__ import annotations

from flask_ops.log.masked_query import NAMES, masked
from flask_ops.log.masking import MASKED, Mask


def test_a_query_string_is_masked() -> None:
    queries = [
        ("", ""),
        ("q=1", "q=1"),
        ("token=abc&q=1&password=", f"token={MASKED}&q=1&password={MASKED}"),
        ("api%5Fkey=abc", f"api%5Fkey={MASKED}"),
        ("user[password]=abc", f"user[password]={MASKED}"),
        ("token", "token"),
        ("password1=abc&X-Amz-Signature=abc", f"password1={MASKED}&X-Amz-Signature={MASKED}"),
        ("a=b=c&&=&%ff=%zz&country_code=de&t=12:30", "a=b=c&&=&%ff=%zz&country_code=de&t=12:30"),
        ("PassWord=abc&SAMLResponse=abc&pass=abc", f"PassWord={MASKED}&SAMLResponse={MASKED}&pass={MASKED}"),
        # A secret may contain every separator but &. A server may take other separators, or decode more than once.
        ("a=1;password=abc;def&q=1", f"a=1;password={MASKED}&q=1"),
        ("token=abc;d=e#f%26g%3dh&q=1", f"token={MASKED}&q=1"),
        ("password%3dabc&pass%2577ord%253Dabc", f"password%3d{MASKED}&pass%2577ord%253D{MASKED}"),
        ("next=%2Flogin%3Fa%3D1%26password%3Dabc", f"next=%2Flogin%3Fa%3D1%26password%3D{MASKED}"),
        ("next=/login?password=abc", f"next=/login?password={MASKED}"),
        ('filter={"a":1,"token":"abc"}', f'filter={{"a":1,"token":{MASKED}'),
        ("filter=%7B%22token%22%3A%22abc%22%7D", f"filter=%7B%22token%22%3A{MASKED}"),
        *[(f"{name}=abc", f"{name}={MASKED}") for name in (*NAMES, "SAMLart", "Code")],
    ]

    assert [expected for _, expected in queries] == [masked(query, Mask()) for query, _ in queries]
