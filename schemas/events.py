"""What a live update tells: ids, never what is in the record."""

from uuid import UUID

from schemas.base import Out, UtcDatetime


class LiveEvent(Out):
    """Something happened to a resource: read it again. `patient_id` is null for what belongs to the clinic itself.

    `type` is `resource.verb`; new ones may come, and those you do not know can be left aside.
    """

    type: str
    resource_type: str
    resource_id: UUID | None
    patient_id: UUID | None
    at: UtcDatetime
