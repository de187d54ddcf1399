"""Damage to the text of a CSV: any bytes are read as cells, or refused with a clear error."""

from campaign import Tally, campaign, damaged, damages, outcome, sizes

TABLE = "subject,clip,onset,offset,label,path\n" + "".join(
    f"p{n:02d},c{n},1,9,happiness,p{n:02d}/c{n}\n" for n in range(9)
)


def read(path):
    from mer_cli.datasets.own_table import COLUMNS, OPTIONAL_COLUMNS
    from mer_cli.datasets.tables import read_table

    return [dict(row.cells) for row in read_table(path, COLUMNS, OPTIONAL_COLUMNS).rows]


@sizes
def test_a_damaged_csv_is_read_or_refused(n_cases, tmp_path):
    path = tmp_path / "lab.csv"
    path.write_text(TABLE, encoding="utf-8")
    _, undisturbed = outcome(read, path)

    def tried(damage):
        path.write_bytes(damaged(TABLE.encode(), damage))
        return outcome(read, path)

    campaign(n_cases, damages, tried, Tally(undisturbed, may_change=True))
